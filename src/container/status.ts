/** What a container is doing now. The kernel knows; files only say which process to look at. */
import { readIfExists } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { bootId, type ProcessId, startTime } from "../kernel/process.ts";
import { cgroups } from "../resources/cgroup.ts";

/** What berth-launch left of a start (native/keeper.h, RUNDIR/init). */
export type InitRecord = { readonly init: ProcessId; readonly keeper: ProcessId };

/** How the guest ended last (native/keeper.h, RUNDIR/exit). */
export type ExitRecord = {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: number | null;
  readonly kind: "exit" | "halt" | "reboot" | "killed" | "unknown";
  readonly oomKills: number;
  /** Milliseconds since 1970. */
  readonly time: number;
};

export type Status =
  | { readonly state: "stopped"; readonly exit: ExitRecord | undefined }
  | ({
      readonly state: "running" | "frozen";
      /** Its keeper is gone: no console until the next start. */
      readonly unattended: boolean;
    } & InitRecord);

/** The record of a start, whether or not its process still lives. */
export function readInitRecord(name: string): InitRecord | undefined {
  const text = readIfExists(containerPaths(name).init);
  if (text === undefined) return undefined;
  const [version, pid, start, keeperPid, keeperStart, boot] = text.trim().split(" ");
  if (version !== "1" || boot !== bootId()) return undefined;
  return {
    init: { pid: Number(pid), startTime: Number(start) },
    keeper: { pid: Number(keeperPid), startTime: Number(keeperStart) },
  };
}

export const isAlive = ({ pid, startTime: since }: ProcessId): boolean => startTime(pid) === since;

export function statusOf(name: string): Status {
  const record = readInitRecord(name);
  if (record === undefined || !isAlive(record.init)) return { state: "stopped", exit: readExit(name) };
  return {
    state: cgroups().isFrozen(name) ? "frozen" : "running",
    unattended: !isAlive(record.keeper),
    ...record,
  };
}

/** How the guest ended last, since the host booted. */
export function readExit(name: string): ExitRecord | undefined {
  const text = readIfExists(containerPaths(name).exit);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as ExitRecord; // written by the keeper, root's own
  } catch {
    return undefined;
  }
}

const signalNames: Record<number, string> = {
  6: "SIGABRT",
  7: "SIGBUS",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
  31: "SIGSYS",
};

/** In words: "powered off", "init ended with code 3", "init crashed by SIGSEGV". */
export function describeExit({ kind, code, signal, oomKills }: ExitRecord): string {
  const oom =
    oomKills > 0
      ? `; the kernel killed ${oomKills} process${oomKills === 1 ? "" : "es"} for want of memory`
      : "";
  if (kind === "halt") return `powered off${oom}`;
  if (kind === "unknown") return `ended; its keeper had died, so nobody knows how${oom}`;
  if (kind === "reboot") return `rebooted${oom}`;
  if (code !== null) return `init ended with code ${code}${oom}`;
  const by = signalNames[signal ?? 0] ?? `signal ${signal}`;
  return `${signal === 9 ? "init was killed" : "init crashed"} by ${by}${oom}`;
}
