/** Which loop devices hold a file open: a mounted image must not be touched from outside. */
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { readIfExists } from "../base/files.ts";

/** The loop device over `file`, as "loop3", or undefined. One in any mount namespace is seen. */
export function loopOf(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const path = realpathSync(file);
  return readdirSync("/sys/block").find(
    (name) =>
      name.startsWith("loop") &&
      readIfExists(`/sys/block/${name}/loop/backing_file`)?.replace(/\n$/, "") === path,
  );
}

/** Waits for it to go: the kernel lets a loop device go a little after the last unmount. Gives the one that stayed. */
export async function waitForLoop(file: string, milliseconds = 2000): Promise<string | undefined> {
  for (let waited = 0; ; waited += 10) {
    const loop = loopOf(file);
    if (loop === undefined || waited >= milliseconds) return loop;
    await Bun.sleep(10);
  }
}
