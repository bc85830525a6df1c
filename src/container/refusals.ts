/** Which container was refused what, counted: from the kernel's records, by AppArmor profile, user id or cgroup. */
import { readFileSync } from "node:fs";
import { instance } from "../base/paths.ts";
import { sharedName } from "../config/syscalls.ts";
import { type Refusal, readRefusals } from "../kernel/refusal-log.ts";
import { resolveSyscalls } from "../kernel/seccomp.ts";
import { profileNameOf } from "../launch/apparmor.ts";
import { ID_COUNT } from "../launch/plan.ts";
import { loadState } from "./store.ts";

export type CountedRefusal = {
  readonly container: string;
  readonly by: "seccomp" | "apparmor";
  /** The system call, or AppArmor's operation. */
  readonly what: string;
  /** What it was asked of, AppArmor's alone. */
  readonly object: string;
  readonly program: string;
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly last: number;
};

/** Whose a record is; undefined when it is nobody's of `names`, or nobody can tell any more. */
function ownerOf(names: readonly string[]): (refusal: Refusal) => string | undefined {
  const known = names.flatMap((name) => {
    try {
      return [{ name, ...loadState(name) }];
    } catch {
      return []; // a damaged one has no ids to know it by
    }
  });
  return (refusal) => {
    const found = known.find(({ uuid, baseUid }) =>
      refusal.kind === "apparmor"
        ? refusal.profile === profileNameOf(uuid)
        : baseUid > 0 && refusal.uid >= baseUid && refusal.uid < baseUid + ID_COUNT,
    );
    return found?.name ?? cgroupOwner(refusal.pid, names);
  };
}

/** A process of a privileged guest has the host's ids: its cgroup tells while it lives. */
function cgroupOwner(pid: number, names: readonly string[]): string | undefined {
  try {
    const paths = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    return names.find((name) => new RegExp(`/${instance.cgroup}(\\.slice)?/${name}(/|$)`, "m").test(paths));
  } catch {
    return undefined;
  }
}

/** Everything that is still in the kernel's records of these containers, latest last. */
export function refusalsOf(names: readonly string[]): CountedRefusal[] {
  const owner = ownerOf(names);
  const owned = readRefusals().flatMap((refusal) => {
    const container = owner(refusal);
    return container === undefined ? [] : [{ container, refusal }];
  });
  const calls = owned.flatMap(({ refusal }) => (refusal.kind === "seccomp" ? [refusal] : []));
  const resolved = resolveSyscalls(calls);
  const counted = new Map<string, CountedRefusal>();
  for (const { container, refusal } of owned) {
    const entry = {
      container,
      by: refusal.kind,
      what:
        refusal.kind === "apparmor"
          ? [refusal.operation, refusal.denied].filter(Boolean).join(" ")
          : (resolved(refusal) ?? sharedName(refusal.syscall) ?? `call ${refusal.syscall}`),
      object: refusal.kind === "apparmor" ? refusal.object : "",
      program: refusal.comm,
    };
    const key = JSON.stringify(entry);
    const count = (counted.get(key)?.count ?? 0) + 1;
    counted.set(key, { ...entry, count, last: refusal.time });
  }
  return [...counted.values()].sort((a, b) => a.last - b.last);
}
