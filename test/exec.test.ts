/** Commands run in guests: codes, streams, users, terminals. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { berthBinary, newWorld, run, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox", "debian-13");
  await world.ok("create", "box", "-t", "busybox", "--start");
  await world.ok("create", "deb", "-t", "debian-13", "--env", "COLOUR=blue", "--start");
  await world.booted("deb");
});
afterAll(() => world.end());

const onTerminal = (line: string, input = "") =>
  run(["script", "-qec", line, "/dev/null"], {
    input,
    env: { ...world.env, TERM: "xterm", SHELL: "/bin/sh" },
  });

describe("exit codes", () => {
  for (const [line, code] of [
    ["exit 0", 0],
    ["exit 3", 3],
    ["kill -9 $$", 137],
    ["kill -TERM $$", 143],
  ] as const) {
    test(line, async () =>
      expect((await world.berth("exec", "deb", "--", "sh", "-c", line)).code).toBe(code),
    );
  }
  test("no such command", async () => expect((await world.berth("exec", "deb", "nonesuch")).code).toBe(127));
  test("not executable", async () =>
    expect((await world.berth("exec", "deb", "/etc/passwd")).code).toBe(126));
  test("no such user", async () => {
    const { code, stderr } = await world.berth("exec", "--user", "nobody-at-all", "deb", "true");
    expect(code).toBe(125);
    expect(stderr).toContain("nobody-at-all");
  });
});

describe("streams", () => {
  test("output and errors stay apart", async () => {
    expect(await world.berth("exec", "box", "--", "sh", "-c", "echo out; echo err >&2")).toEqual({
      code: 0,
      stdout: "out\n",
      stderr: "err\n",
    });
  });
  test("input goes in, a megabyte comes back", async () => {
    const input = "0123456789abcdef".repeat(65536);
    const { stdout } = await run([berthBinary, "exec", "box", "cat"], { input, env: world.env });
    expect(stdout.length).toBe(input.length);
  });
  test("options behind the name are the command's", async () => {
    expect(await world.ok("exec", "box", "echo", "--json", "-n")).toBe("--json -n");
  });
});

describe("who and where", () => {
  test("a value of --env stands in no command line of berth's once it is on its way into the guest", async () => {
    const words = ["exec", "--env", "KEY=not-for-all", "box", "--", "sh", "-c", "echo $KEY; sleep 5"];
    const child = Bun.spawn([berthBinary, ...words], { env: world.env, stdout: "pipe" });
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("not-for-all\n");
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
    const relay = readFileSync(`/proc/${children.trim()}/cmdline`, "utf8");
    child.kill();
    await child.exited;
    expect(relay).toContain("berth-launch");
    expect(relay).not.toContain("not-for-all");
  });
  test("environment of the container and of the call", async () => {
    expect(
      await world.ok(
        "exec",
        "--env",
        "SIZE=big",
        "deb",
        "--",
        "sh",
        "-c",
        "echo $COLOUR $SIZE $HOME $container",
      ),
    ).toBe("blue big /root berth");
  });
  test("a user of the guest, by name, with its groups", async () => {
    expect(await world.ok("exec", "--user", "www-data", "deb", "--", "id", "-un")).toBe("www-data");
    expect(await world.ok("exec", "--user", "33:0", "deb", "--", "id", "-u")).toBe("33");
  });
  test("a directory", async () => {
    expect(await world.ok("exec", "--cwd", "/usr/lib", "deb", "pwd")).toBe("/usr/lib");
    expect(await world.ok("exec", "deb", "pwd")).toBe("/root");
  });
  test("in init's cgroup, under the guest's limits", async () => {
    expect(await world.sh("deb", "grep ^0: /proc/self/cgroup")).toBe("0::/init.scope");
  });
  test("no descriptor of the host comes along", async () => {
    expect((await world.sh("deb", "ls /proc/self/fd")).split("\n").filter((fd) => Number(fd) > 3)).toEqual(
      [],
    );
  });
});

describe("on a terminal", () => {
  test("the command gets one of the guest's own, of the same size", async () => {
    const { stdout } = await onTerminal(
      `stty rows 33 cols 99; ${berthBinary} exec deb -- sh -c 'tty; stty size'`,
    );
    expect(stdout).toMatch(/\/dev\/pts\/\d+/);
    expect(stdout).toContain("33 99");
  });
  test("the exit code comes through", async () => {
    expect((await onTerminal(`${berthBinary} exec deb -- sh -c 'exit 5'`)).code).toBe(5);
  });
  test("enter gives a login shell that leaves with its exit code", async () => {
    const { stdout, code } = await onTerminal(`${berthBinary} enter deb`, "echo $0-$((40+2)); exit 6\n");
    expect(stdout).toContain("/bin/bash-42");
    expect(code).toBe(6);
  });
  test("without one there is none", async () => {
    expect((await world.berth("exec", "deb", "tty")).stdout).toContain("not a tty");
  });
});

describe("console", () => {
  test("shows what was printed, takes input, and leaves by its key", async () => {
    const { stdout, code } = await run(
      [
        "script",
        "-qec",
        `(sleep 1; printf 'echo con-$((6*7))\\r'; sleep 1; printf '\\035') | script -qec '${berthBinary} console box' /dev/null`,
        "/dev/null",
      ],
      { env: { ...world.env, TERM: "xterm", SHELL: "/bin/sh" } },
    );
    expect(stdout).toContain("con-42");
    expect(code).toBe(0);
  });
  test("log keeps it, with control characters made visible", async () => {
    expect(await world.ok("log", "box")).toContain("con-42");
    await world.sh("box", "printf 'evil\\033]0;title\\007\\n' > /dev/console");
    expect(await world.ok("log", "box", "-n", "3")).toContain("evil\\x1b]0;title\\x07");
  });
  test("a log can be followed without touching the guest, until interrupted", async () => {
    const child = Bun.spawn([berthBinary, "log", "--follow", "box"], {
      stdio: ["ignore", "pipe", "ignore"],
      env: world.env,
    });
    const text = new Response(child.stdout).text();
    await Bun.sleep(500);
    await world.sh("box", "printf 'followed\\033[2J\\n' > /dev/console");
    await Bun.sleep(500);
    child.kill("SIGINT");
    expect(await text).toContain("followed\\x1b[2J");
    expect(await child.exited).toBe(0);
  });
});
