/** The processes of a guest as the host's /proc shows them. They come and go while one looks. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { cgroups } from "../resources/cgroup.ts";
import { readCgroup } from "../resources/tree.ts";

export type GuestProcess = {
  /** On the host. */
  readonly pid: number;
  /** In the guest's own pid namespace: the last of NSpid. */
  readonly guestPid: number;
  readonly comm: string;
  /** The host's pid of the parent. */
  readonly parent: number;
  /** Its session in the guest; 0 when it began outside. */
  readonly session: number;
  /** How many pid namespaces below the host's it is in. */
  readonly depth: number;
  /** Its cgroup below the guest's root: the unit that it belongs to is the last part that ends in .service, .scope, ... */
  readonly cgroup: string;
};

/** Every process in the guest's cgroups. Empty where the host has no cgroup v2. */
export function guestProcesses(name: string): GuestProcess[] {
  const root = cgroups().guestRoot(name);
  if (root === undefined) return [];
  const walk = (path: string): GuestProcess[] => [
    ...pidsIn(`${root}${path}`).flatMap((pid) => processOf(pid, path)),
    ...subdirectories(`${root}${path}`).flatMap((child) => walk(`${path}/${child}`)),
  ];
  return walk("");
}

const pidsIn = (dir: string): number[] =>
  (readCgroup(`${dir}/cgroup.procs`) ?? "").split("\n").filter(Boolean).map(Number);

function subdirectories(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function processOf(pid: number, cgroup: string): GuestProcess[] {
  const status = readProc(pid, "status");
  if (status === undefined || /^State:\s+[ZX]/m.test(status)) return [];
  const field = (key: string): string => new RegExp(`^${key}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  const pids = field("NSpid").split(/\s+/).map(Number);
  return [
    {
      pid,
      guestPid: pids.at(-1) ?? 0,
      comm: field("Name"),
      parent: Number(field("PPid")),
      session: Number(field("NSsid").split(/\s+/).at(-1)),
      depth: pids.length - 1,
      cgroup,
    },
  ];
}

/** The systemd unit from a cgroup path: its last part that names one. */
export function unitOf(cgroup: string): string | undefined {
  return cgroup.split("/").findLast((part) => /\.(service|scope|socket|mount|swap)$/.test(part));
}

/** A file of /proc/PID, or undefined when the process is gone. */
export function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}

/** Where a link of /proc/PID points, as text. */
export function readProcLink(pid: number, file: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/${file}`);
  } catch {
    return undefined;
  }
}

/** Names in a directory of /proc/PID. */
export function listProc(pid: number, dir: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/${dir}`);
  } catch {
    return [];
  }
}
