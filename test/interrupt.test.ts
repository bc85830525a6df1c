/** Ctrl-C on a terminal, which reaches the programs that berth runs as well: undone and told so, or done and told so. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { berthBinary, newWorld, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld("busybox");
  await world.ok("create", "big", "-t", "busybox", "--network", "none", "--start");
  await world.sh("big", "dd if=/dev/zero of=/root/big bs=1M count=500 2>/dev/null");
});
afterAll(() => world.end());

/** Runs berth on a terminal of its own, where Ctrl-C is pressed after so many milliseconds. */
async function interrupted(milliseconds: number, ...args: readonly string[]) {
  const child = Bun.spawn(["script", "-qec", ["exec", berthBinary, ...args].join(" "), "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...world.env, TERM: "xterm", SHELL: "/bin/sh" },
  });
  await Bun.sleep(milliseconds);
  child.stdin.write("\x03");
  await child.stdin.flush();
  const [stdout, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return { stdout, code };
}

test.each(["snapshot create big s", "clone big other"])(
  "%s says that it was interrupted, and keeps nothing",
  async (line) => {
    const { code, stdout } = await interrupted(400, ...line.split(" "));
    expect(stdout).toContain("copying what big has written was interrupted");
    expect(stdout).toContain("all is as it was before");
    expect(code).toBe(130);
    expect(await world.ok("ls", "--names")).toBe("big");
    expect(await world.json<readonly unknown[]>("snapshot", "ls", "big")).toEqual([]);
  },
);

test("create --start has made nothing, or says what it has made", async () => {
  const codes = new Set<number>();
  let done = 0;
  for (let milliseconds = 40; done < 3; milliseconds += 15) {
    const { code, stdout } = await interrupted(
      milliseconds,
      ..."create other -t busybox --network none --start".split(" "),
    );
    codes.add(code);
    const told = stdout.includes("other: created and started");
    expect([milliseconds, stdout, code]).toEqual([milliseconds, stdout, told ? 0 : 130]);
    expect(await world.ok("ls", "--names")).toBe(told ? "big\nother" : "big");
    if (!told) continue;
    done += 1;
    await world.ok("rm", "--force", "other");
  }
  expect(codes.size).toBe(2);
});
