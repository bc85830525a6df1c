/** What this host has that a guest may depend on. */
import { release } from "node:os";
import { readIfExists } from "../base/files.ts";
import { version } from "../base/version.ts";
import { apparmorState } from "../kernel/apparmor.ts";
import { architecture } from "../storage/distributions.ts";
import type { HostFacts } from "./messages.ts";

export function hostFacts(): HostFacts {
  return {
    berth: version,
    kernel: release(),
    architecture,
    cpuFlags: cpuFlags(readIfExists("/proc/cpuinfo") ?? ""),
    apparmor: apparmorState(),
    clock: Date.now(),
  };
}

/** Flags of the first processor: x86 and arm64 have different words for them. */
export const cpuFlags = (cpuinfo: string): string[] =>
  (/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? "").split(" ").filter(Boolean);
