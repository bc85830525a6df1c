/** Whether a restored guest lives, looked at from outside before its images are given up. */
import { readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import type { LockedContainer } from "../container/container.ts";
import { statusOf } from "../container/status.ts";
import { guestProcesses } from "./processes.ts";

const LOOK_MS = 20;

/**
 * Throws checkpoint.failed when init ends within `watch` milliseconds (0: has ended), or a process hangs in what a restore
 * leaves behind when it fails.
 */
export async function checkHealth({ name }: LockedContainer, pid: number, watch: number): Promise<void> {
  const end = Date.now() + watch;
  for (let left = watch; ; left = end - Date.now()) {
    const status = statusOf(name);
    if (status.state === "stopped" || status.init.pid !== pid)
      throw new BerthError("checkpoint.failed", `container ${name}: its init ended right after it came back`);
    if (left <= 0) break;
    await Bun.sleep(Math.min(left, LOOK_MS));
  }
  const traced = guestProcesses(name).find(({ pid: one }) => /^State:\s+t/m.test(statusText(one)));
  if (traced !== undefined)
    throw new BerthError(
      "checkpoint.failed",
      `container ${name}: process ${traced.pid} (${traced.comm}) did not go on after it came back`,
    );
}

function statusText(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}
