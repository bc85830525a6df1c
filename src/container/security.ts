/**
 * The layers that hold a running container, as they are now: from the kernel where it tells, beside what the settings
 * ask for. A layer that is asked for and not there is `missing`.
 */
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import type { ContainerConfig } from "../config/schema.ts";
import { apparmorState, labelOf, selinuxEnforces } from "../kernel/apparmor.ts";
import { apparmorLabel } from "../launch/apparmor.ts";
import { ID_COUNT } from "../launch/plan.ts";
import { boundingSet, maskedPaths, securityfs } from "../launch/policy.ts";
import { profileName, seccompPolicies } from "../launch/seccomp.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Container } from "./container.ts";
import { sharedRanges } from "./ids.ts";

export type Layer = {
  readonly layer: string;
  /** absent: not asked for, or the host cannot; `detail` says which. missing: asked for and not there. */
  readonly verdict: "present" | "absent" | "missing";
  readonly detail: string;
};

type Facts = Container & {
  readonly pid: number;
  /** Fields of /proc/PID/status. */
  readonly field: (name: string) => string;
};

const layer = (name: string, verdict: Layer["verdict"], detail: string): Layer => ({
  layer: name,
  verdict,
  detail,
});

const check = (name: string, holds: boolean, detail: string, lost: string): Layer =>
  layer(name, holds ? "present" : "missing", holds ? detail : lost);

/** Every layer of a container whose init is `pid`. */
export function securityLayers(container: Container, pid: number): readonly Layer[] {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string): string => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1] ?? "";
  const facts = { ...container, pid, field };
  return [
    userNamespace(facts),
    idRange(facts),
    namespaces(facts),
    capabilities(facts),
    seccomp(facts),
    newPrivileges(facts),
    ...labels(facts),
    devices(facts),
    masks(facts),
    sysfs(facts),
  ];
}

function userNamespace({ config, state, pid }: Facts): Layer {
  const map = readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/).map(Number);
  if (config.privileged)
    return layer("user namespace", "absent", "privileged: root in it is root on this host");
  return check(
    "user namespace",
    map.join(" ") === `0 ${state.baseUid} ${ID_COUNT}`,
    `ids 0-${ID_COUNT - 1} are ${state.baseUid}-${state.baseUid + ID_COUNT - 1} on the host`,
    `its map is ${map.join(" ")}, not 0 ${state.baseUid} ${ID_COUNT}`,
  );
}

function idRange({ config, state }: Facts): Layer {
  if (config.privileged) return layer("id range", "absent", "privileged: the host's own ids");
  const shared = sharedRanges(state.baseUid);
  return check(
    "id range",
    shared.length === 0,
    "its alone: no other container's, none of /etc/subuid and /etc/subgid",
    `shared with ${shared.map(({ first, count }) => `${first}:${count}`).join(", ")} of /etc/subuid or /etc/subgid`,
  );
}

function namespaces({ config, pid }: Facts): Layer {
  const wanted = ["mnt", "pid", "net", "ipc", "uts", "cgroup", ...(config.privileged ? [] : ["user"])];
  const shared = wanted.filter(
    (name) => readlinkSync(`/proc/${pid}/ns/${name}`) === readlinkSync(`/proc/self/ns/${name}`),
  );
  return check(
    "namespaces",
    shared.length === 0,
    `${wanted.join(", ")} of its own${config.nesting ? "; it may make more (nesting)" : ""}`,
    `shared with the host: ${shared.join(", ")}`,
  );
}

function capabilities({ config, field }: Facts): Layer {
  const kept = BigInt(`0x${field("CapBnd")}`);
  const may = boundingSet(config);
  const mask = may.reduce((bits, capability) => bits | (1n << BigInt(capability)), 0n);
  const extra = [...(kept & ~mask).toString(2)].filter((bit) => bit === "1").length;
  return check(
    "capabilities",
    extra === 0,
    `at most ${may.length}, the bounding set is ${field("CapBnd")}`,
    `${extra} too many in the bounding set ${field("CapBnd")}`,
  );
}

function seccomp({ config, field }: Facts): Layer {
  const wanted = seccompPolicies({ ...config, arch: process.arch }).length;
  const loaded = Number(field("Seccomp_filters") || wanted);
  const extras = [
    ...(config.seccomp.allow.length > 0 ? [`allows ${config.seccomp.allow.join(", ")}`] : []),
    ...(config.seccomp.deny.length > 0 ? [`denies ${config.seccomp.deny.join(", ")}`] : []),
    ...(config.seccomp.log ? ["refused calls are logged"] : []),
  ];
  return check(
    "seccomp",
    field("Seccomp") === "2" && loaded >= wanted,
    [`profile ${profileName(config)}`, ...extras].join("; "),
    `init runs under ${field("Seccomp") === "2" ? `${loaded} of ${wanted} filters` : "no filter"}`,
  );
}

function newPrivileges({ config, field }: Facts): Layer {
  const set = field("NoNewPrivs") === "1";
  if (config["no-new-privs"])
    return check("no_new_privs", set, "set-uid programs gain nothing", "not set: it was set after the start");
  return layer("no_new_privs", set ? "present" : "absent", set ? "set" : "not asked for (no-new-privs)");
}

function labels({ config, state, pid }: Facts): readonly Layer[] {
  const label = labelOf(pid) ?? "";
  return [
    apparmor(config, label, apparmorLabel(config, state.uuid)),
    ...(selinuxEnforces() || config["selinux-label"] !== undefined ? [selinux(config, label)] : []),
  ];
}

function apparmor(config: ContainerConfig, label: string, wanted: string): Layer {
  const host = apparmorState();
  if (host === "off")
    return layer("AppArmor", "absent", "the kernel runs without; the other layers stand alone");
  if (config.apparmor === "none") return layer("AppArmor", "absent", "not asked for (apparmor: none)");
  return check(
    "AppArmor",
    label === `${wanted} (enforce)`,
    config.apparmor === "stacked" ? `${label}; it may load profiles of its own below` : label,
    host === "no-parser"
      ? "apparmor_parser is not installed: apt-get install apparmor, then restart it"
      : `it runs as ${label || "unconfined"}, not under ${wanted}`,
  );
}

function selinux(config: ContainerConfig, label: string): Layer {
  const wanted = config["selinux-label"];
  if (wanted === undefined) return layer("SELinux", "absent", `no label asked for (selinux-label): ${label}`);
  if (!selinuxEnforces()) return layer("SELinux", "absent", "the host does not enforce it");
  return check("SELinux", label === wanted, label, `it runs as ${label}, not as ${wanted}`);
}

function devices({ name }: Facts): Layer {
  return check(
    "devices",
    cgroups().hasDeviceRules(name),
    "default deny: null, zero, full, random, urandom, tty, ptys",
    "no rules: it may open any device",
  );
}

/** Mount points of the guest with their options; a guest's own mounts over ours stand later and win. */
function mountsOf(pid: number): ReadonlyMap<string, string> {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, "utf8").trim().split("\n");
  return new Map(
    lines.map((line) => {
      const fields = line.split(" ");
      return [fields[4] ?? "", fields[5] ?? ""];
    }),
  );
}

function masks({ config, pid }: Facts): Layer {
  const mounts = mountsOf(pid);
  const wanted = maskedPaths
    .filter((path) => existsSync(path))
    .filter((path) => !(path === securityfs && config.apparmor === "stacked"));
  const open = wanted.filter((path) => !mounts.has(path));
  return check(
    "masks",
    open.length === 0,
    `${wanted.length} paths of /proc and /sys covered`,
    `the guest has uncovered ${open.join(", ")}; what lies below stays refused by the layers above`,
  );
}

function sysfs({ pid }: Facts): Layer {
  const options = mountsOf(pid).get("/sys");
  return check(
    "/sys",
    options?.split(",").includes("ro") === true,
    "read-only",
    options === undefined ? "not mounted" : "the guest has made it writable; its files are the host's",
  );
}
