/** For tests alone. */
import { afterAll, beforeAll } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";

/**
 * A directory below /tmp that is there while the tests of this file or `describe` run; to be called where they are
 * defined. Tests that are all left out make none, since bun then runs no hook that could remove it. `release` unmounts what
 * is mounted there.
 */
export function testDirectory(name: string, release: () => void = () => {}): string {
  const dir = `/tmp/t-${name}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  beforeAll(() => mkdirSync(dir, { mode: 0o700 }));
  afterAll(() => {
    release();
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}
