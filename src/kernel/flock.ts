/** flock(2): advisory locks that belong to the open file description, so that a child that inherits the fd holds them too. */
import { errno, libc } from "./libc.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const EINTR = 4;
const EWOULDBLOCK = 11;

/** Takes the lock, exclusive unless `shared`, without waiting. False when somebody else has it. */
export function tryLock(fd: number, shared = false): boolean {
  for (;;) {
    if (libc().flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
    const code = errno();
    if (code === EWOULDBLOCK) return false;
    if (code !== EINTR) throw new Error(`flock: errno ${code}`);
  }
}

const LOOK_MS = 10;

/** Takes the lock, looking every 10 ms; false when somebody else still has it after the given time. */
export async function waitForFileLock(fd: number, milliseconds: number, shared = false): Promise<boolean> {
  for (let waited = 0; !tryLock(fd, shared); waited += LOOK_MS) {
    if (waited >= milliseconds) return false;
    await Bun.sleep(LOOK_MS);
  }
  return true;
}
