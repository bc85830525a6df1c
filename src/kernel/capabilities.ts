/** What this process may do (linux/capability.h, proc_pid_status(5)). */
import { readFileSync } from "node:fs";

export const CAP_SYS_RESOURCE = 24;

/** Whether this process has the capability now. */
export function hasCapability(capability: number): boolean {
  const mask = /^CapEff:\t([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return ((BigInt(`0x${mask}`) >> BigInt(capability)) & 1n) === 1n;
}
