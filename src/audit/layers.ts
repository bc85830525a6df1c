/**
 * The layers between a guest and the host, as data, and the plans that have only some of them. Which layer stops an attempt is
 * found by trying it with that layer alone. Only guests of the audit's own are ever started or entered so.
 */
import type { Plan, PlanRecord } from "../kernel/plan.ts";

/** From the outside in: the order in which a system call meets them. */
export const layers = [
  "clean start",
  "seccomp",
  "pid namespace",
  "mount namespace",
  "network namespace",
  "ipc namespace",
  "uts namespace",
  "cgroup namespace",
  "user namespace",
  "capabilities",
  "device rules",
  "AppArmor",
  "limits",
] as const;

export type Layer = (typeof layers)[number];

/** What each layer is, for people. */
export const layerWords: Record<Layer, string> = {
  "clean start": "exec leaves nothing open, no directory, no capability that is inherited",
  seccomp: "the filter of system calls",
  "pid namespace": "processes of its own",
  "mount namespace": "a root of its own",
  "network namespace": "links, addresses and abstract sockets of its own",
  "ipc namespace": "keys and queues of its own",
  "uts namespace": "a host name of its own",
  "cgroup namespace": "a root of cgroups of its own",
  "user namespace": "its root is nobody on the host",
  capabilities: "what its root lacks even so",
  "device rules": "the devices it may use",
  AppArmor: "the files, mounts and capabilities of its profile",
  limits: "memory and processes of its cgroup",
};

const namespaceWords: Partial<Record<Layer, string>> = {
  "pid namespace": "pid",
  "mount namespace": "mnt",
  "network namespace": "net",
  "ipc namespace": "ipc",
  "uts namespace": "uts",
  "cgroup namespace": "cgroup",
  "user namespace": "user",
};

/** The layers that a guest of these settings has; `apparmor`: on this host it runs under a profile. */
export function layersOf({ privileged }: { readonly privileged: boolean }, apparmor: boolean): Layer[] {
  return layers.filter(
    (layer) => !(layer === "user namespace" && privileged) && !(layer === "AppArmor" && !apparmor),
  );
}

/** The plan of an attach with only these layers. A clean start it always has. */
export function withLayers(plan: Plan, wanted: readonly Layer[]): Plan {
  const has = (layer: Layer): boolean => wanted.includes(layer);
  const words = wanted.flatMap((layer) => namespaceWords[layer] ?? []);
  return plan.flatMap((record): PlanRecord[] => {
    const [op] = record;
    if (op === "namespaces") return words.length === 0 ? [] : [["namespaces", ...words]];
    if (op === "seccomp" || op === "noNewPrivs") return has("seccomp") ? [record] : [];
    if (op === "caps") return has("capabilities") ? [record] : [];
    if (op === "apparmor") return has("AppArmor") ? [record] : [];
    if (op === "cgroupJoin" || op === "cgroupLikeInit")
      return has("device rules") || has("limits") ? [record] : [];
    return [record];
  });
}

/** The plan of a start without device rules: the cgroup's limits stand alone. */
export const withoutDeviceRules = (plan: Plan): Plan => plan.filter(([op]) => op !== "deviceBpf");

/** The same for v1, where the devices have a hierarchy of their own, mounted at `devices`. */
export const withoutHierarchy = (plan: Plan, devices: string | undefined): Plan =>
  plan.filter(
    ([op, , path]) =>
      !(op === "cgroupJoin" && devices !== undefined && String(path).startsWith(`${devices}/`)),
  );
