/** The program as a shell sees it: exit codes, what stands on stdout and what on stderr. */
import { expect, test } from "bun:test";
import { resolve } from "node:path";

const fixture = resolve(import.meta.dir, "fixture-program.ts");

async function berth(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([process.execPath, fixture, ...words], { stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

test("a result, for people and as JSON, also with --json before the command", async () => {
  expect(await berth("greet", "bob")).toEqual({ code: 0, stdout: "hello bob\n", stderr: "" });
  for (const words of [
    ["greet", "bob", "--json"],
    ["--json", "greet", "bob"],
  ]) {
    const { code, stdout, stderr } = await berth(...words);
    expect({ code, stderr, result: JSON.parse(stdout) }).toEqual({
      code: 0,
      stderr: "",
      result: { name: "bob" },
    });
  }
});

test("a BerthError: message, hint, its exit code; nothing on stdout", async () => {
  expect(await berth("fail")).toEqual({
    code: 3,
    stdout: "",
    stderr: 'berth: there is no container "x\\x1b"\n  see "berth ls"\n',
  });
  const { code, stdout, stderr } = await berth("fail", "--json");
  expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
  expect(JSON.parse(stderr)).toEqual({
    error: { code: "container.not-found", message: 'there is no container "x\x1b"', hint: 'see "berth ls"' },
  });
});

test("a defect is named as one", async () => {
  const { code, stderr } = await berth("crash");
  expect(code).toBe(1);
  expect(stderr).toContain("berth: boom");
  expect(stderr).toContain("BERTH_DEBUG=1");
});

test("usage errors exit with 2, those of a passthrough command with 125", async () => {
  expect((await berth("gret")).stderr).toContain('did you mean "berth greet"?');
  expect((await berth("gret")).code).toBe(2);
  expect((await berth("greet")).code).toBe(2);
  expect((await berth()).code).toBe(2);
  expect((await berth("--nonsense", "greet")).code).toBe(2);
  expect((await berth("pass", "--nonsense")).code).toBe(125);
  expect((await berth("pass", "a", "7")).code).toBe(7);
});

test("help and version", async () => {
  const help = await berth("greet", "--help", "--nonsense");
  expect(help.code).toBe(0);
  expect(help.stdout).toContain("berth greet bob");
  expect((await berth("--help")).stdout).toContain("greet");
  expect((await berth("--version")).stdout).toBe("berth 1.2.3\n");
  expect(JSON.parse((await berth("--version", "--json")).stdout)).toEqual({ version: "1.2.3" });
});

test("a group shows its commands", async () => {
  const { code, stdout } = await berth("set", "--help");
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("set greet  Greet") });
  expect(await berth("set")).toEqual({ code: 2, stdout: "", stderr: stdout });
  expect((await berth("set", "gret")).stderr).toContain('did you mean "berth set greet"?');
  expect((await berth("set", "greet", "bob")).stdout).toBe("hello bob\n");
});

test("several names: one failure does not stop the others", async () => {
  const { code, stdout, stderr } = await berth("many", "good", "bad", "fine", "--json");
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toEqual([
    { name: "good", ok: true, result: 4 },
    { name: "bad", ok: false, error: { code: "container.not-found", message: "no bad", hint: "" } },
    { name: "fine", ok: true, result: 4 },
  ]);
  expect(JSON.parse(stderr)).toEqual({ error: { code: "container.not-found", message: "no bad", hint: "" } });
});

test("Ctrl-C aborts the operation, which undoes itself; exit code 130", async () => {
  const child = Bun.spawn([process.execPath, fixture, "wait"], { stdout: "pipe", stderr: "pipe" });
  const reader = child.stdout.getReader();
  await reader.read(); // it waits now
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(await new Response(child.stderr).text()).toContain("undone");
});
