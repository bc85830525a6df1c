/**
 * What a test process leaves behind when it ends in any way: nothing. Disks lie in the cache's run directory, sockets in a
 * short path of their own (a unix socket's is limited to 107 bytes). A shell that waits on a pipe from us removes both
 * when the pipe closes, be it by our end, a crash or SIGKILL; QEMU dies by its own parent-death signal.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDir } from "./paths.ts";

export interface Session {
  /** Disks and logs. */
  readonly diskDir: string;
  /** Sockets. */
  readonly socketDir: string;
  readonly end: () => Promise<void>;
}

/** Opens the two directories of a session, with their remover. */
export function openSession(): Session {
  const runDir = join(cacheDir(), "run");
  mkdirSync(runDir, { recursive: true });
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
  removeOfOtherBoots(runDir, boot);
  const diskDir = mkdtempSync(join(runDir, `t-${boot}-`));
  const socketDir = mkdtempSync(join(tmpdir(), "t-lab-"));
  const remover = Bun.spawn(
    ["setsid", "sh", "-c", 'cat > /dev/null; sleep 0.2; rm -rf "$@"', "sh", diskDir, socketDir],
    {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
    },
  );
  remover.unref();
  return {
    diskDir,
    socketDir,
    end: async () => {
      rmSync(diskDir, { recursive: true, force: true });
      rmSync(socketDir, { recursive: true, force: true });
      await remover.stdin.end();
      await remover.exited;
    },
  };
}

/** What a crash of the whole machine left. */
function removeOfOtherBoots(runDir: string, boot: string): void {
  for (const entry of readdirSync(runDir)) {
    if (!entry.startsWith(`t-${boot}-`)) rmSync(join(runDir, entry), { recursive: true, force: true });
  }
}
