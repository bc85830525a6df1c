/**
 * What this host offers, layer by layer: named when absent, never skipped in silence. Found by doing where a file
 * cannot tell.
 */
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { readIfExists } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { apparmorState, selinuxEnforces } from "../kernel/apparmor.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { refusalLogFault } from "../kernel/refusal-log.ts";
import { runProgram } from "../kernel/run.ts";
import { cgroups } from "../resources/cgroup.ts";
import { cgroupLayout, limitsOnV2 } from "../resources/layout.ts";
import { storageDriver } from "../storage/drivers.ts";
import { kernelQuotaFault } from "../storage/quota-probe.ts";

export type Finding = {
  readonly layer: string;
  /** absent: berth works without it, and `detail` says what is lost. missing: it must be there. */
  readonly verdict: "present" | "absent" | "missing";
  readonly detail: string;
  readonly cure: string;
};

type Check = () => Finding | Promise<Finding>;

const present = (layer: string, detail: string): Finding => ({ layer, verdict: "present", detail, cure: "" });
const absent = (layer: string, detail: string, cure: string): Finding => ({
  layer,
  verdict: "absent",
  detail,
  cure,
});
const missing = (layer: string, detail: string, cure: string): Finding => ({
  layer,
  verdict: "missing",
  detail,
  cure,
});

/** Every layer, in the order of a start. */
export async function checkHost(): Promise<Finding[]> {
  return await Promise.all(checks.map(async (check) => await check()));
}

const OLDEST = [5, 15] as const;

function kernel(): Finding {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
  if (!old) return present("kernel", `Linux ${release()}`);
  return missing(
    "kernel",
    `Linux ${release()}: idmapped overlay layers need 5.19, mounts by descriptor 5.15`,
    "boot a newer kernel: Debian 12, Ubuntu 24.04 or later have one",
  );
}

function root(): Finding {
  return process.getuid?.() === 0
    ? present("root", "berth runs as root")
    : missing("root", "berth does not run as root", "run it as root, or with sudo");
}

function cgroup(): Finding {
  const layout = cgroupLayout();
  if (limitsOnV2(layout)) {
    const lost = ["memory", "cpu", "pids"].filter((controller) => !layout.v2Controllers.has(controller));
    const detail = `v2 with ${[...layout.v2Controllers].join(", ")}`;
    return lost.length === 0
      ? present("cgroups", detail)
      : missing("cgroups", `${detail}; without ${lost.join(", ")}`, "boot without cgroup_disable=");
  }
  if (layout.v1.length === 0)
    return missing("cgroups", "none mounted", "mount -t cgroup2 none /sys/fs/cgroup");
  const offered = layout.v1.flatMap(({ controllers }) => controllers);
  const lost = ["memory", "cpu", "pids", "devices", "freezer"].filter(
    (controller) => !offered.includes(controller),
  );
  const detail = `${cgroups().version} with ${offered.join(", ")}`;
  return lost.length === 0
    ? present("cgroups", detail)
    : missing(
        "cgroups",
        `${detail}; without ${lost.join(", ")}`,
        "mount these controllers, or boot with cgroup v2",
      );
}

function userNamespaces(): Finding {
  const most = Number(readIfExists("/proc/sys/user/max_user_namespaces") ?? 0);
  if (!existsSync("/proc/self/ns/user") || most === 0) {
    return missing(
      "user namespaces",
      "the kernel has none, or allows none",
      "sysctl user.max_user_namespaces=100000",
    );
  }
  return present("user namespaces", `at most ${most}`);
}

function namespace(layer: string, file: string, lost: string): Finding {
  return existsSync(`/proc/self/ns/${file}`)
    ? present(layer, "the kernel has them")
    : absent(layer, lost, "boot a kernel that has them");
}

function fileSystem(name: string, need: string): Finding {
  const known =
    new RegExp(`\\t${name}$`, "m").test(readFileSync("/proc/filesystems", "utf8")) ||
    existsSync(`/sys/module/${name}`);
  return known
    ? present(name, need)
    : missing(name, `the kernel does not know ${name}: ${need}`, `modprobe ${name}`);
}

async function storageImage(): Promise<Finding> {
  const lost = await storageDriver("image").missing();
  return lost === undefined
    ? present("storage image", "a disk image per container: limits hold, df is true")
    : absent(
        "storage image",
        `${lost}; containers have no disk limit (plain)`,
        "install or load what is named",
      );
}

/** Runs into a limit of 1 MiB on a small file system made for it. */
async function projectQuota(): Promise<Finding> {
  const fault = await kernelQuotaFault("project", "ext4");
  return fault === undefined
    ? present(
        "project quota",
        "ext4 and the kernel keep it: `berth pool create` makes a pool for it; quota-users works",
      )
    : absent(
        "project quota",
        `storage driver project and quota-users do not work here: ${fault}`,
        "modprobe quota_v2, or a kernel with CONFIG_QFMT_V2 (Debian's and Ubuntu's have it)",
      );
}

/** The same with a group of btrfs. */
async function btrfsQuota(): Promise<Finding> {
  const fault = await kernelQuotaFault("btrfs", "btrfs");
  return fault === undefined
    ? present(
        "btrfs quota",
        "btrfs keeps it: `berth pool create --driver btrfs` makes a pool with cheap snapshots",
      )
    : absent(
        "btrfs quota",
        `storage driver btrfs does not work here: ${fault}`,
        "Linux 6.7 or later with btrfs, and apt-get install btrfs-progs",
      );
}

function seccomp(): Finding {
  const actions = readIfExists("/proc/sys/kernel/seccomp/actions_avail");
  return actions === undefined
    ? missing("seccomp", "the kernel has none", "boot a kernel with CONFIG_SECCOMP_FILTER")
    : present("seccomp", actions.trim());
}

function apparmor(): Finding {
  const state = apparmorState();
  if (state === "on") return present("AppArmor", "each guest gets a profile of its own");
  return state === "off"
    ? absent(
        "AppArmor",
        "the kernel runs without; the other layers stand alone, and a privileged guest has no bounds",
        "boot with lsm=...,apparmor where the kernel has it",
      )
    : absent(
        "AppArmor",
        "the kernel has it, but without apparmor_parser guests get no profile",
        "apt-get install apparmor",
      );
}

/** The other security modules, which berth does not need: what is there, and what it means for guests. */
function securityModules(): Finding {
  const active = (readIfExists("/sys/kernel/security/lsm")?.trim() ?? "").split(",").filter(Boolean);
  const notes = [
    ...(active.includes("selinux")
      ? [`SELinux ${selinuxEnforces() ? "enforces: give guests a selinux-label" : "does not enforce"}`]
      : []),
    ...(active.includes("tomoyo") ? ["Tomoyo has no rules for guests"] : []),
  ];
  return active.length === 0
    ? absent(
        "security modules",
        "the kernel names none",
        "mount -t securityfs securityfs /sys/kernel/security, where the kernel has them",
      )
    : present("security modules", [active.join(", "), ...notes].join("; "));
}

/** Whether the kernel writes down what filters and profiles refuse. */
function refusalLog(): Finding {
  const fault = refusalLogFault();
  return fault === undefined
    ? present("refusal log", "the kernel can log refused calls: `berth security log`")
    : absent("refusal log", fault.why, fault.cure);
}

async function program(
  layer: string,
  argv: readonly string[],
  pkg: string,
  lost: string,
  needed: boolean,
): Promise<Finding> {
  try {
    const { stdout, stderr } = await runProgram(argv, { package: pkg });
    return present(layer, (stdout || stderr).trim().split("\n")[0] ?? "");
  } catch {
    return (needed ? missing : absent)(
      layer,
      `${argv[0]} is not installed: ${lost}`,
      `apt-get install ${pkg}`,
    );
  }
}

function ownPrograms(): Finding {
  try {
    const programs = (["berth-launch", "berth-seccomp", "berth-audit"] as const).map(binaryPath);
    return present("berth-launch", programs.join(", "));
  } catch (error) {
    return missing(
      "berth-launch",
      error instanceof Error ? error.message : "not found",
      "npm run build, or install berth again",
    );
  }
}

function forwarding(): Finding {
  const on = readIfExists("/proc/sys/net/ipv4/ip_forward")?.trim() === "1";
  return on
    ? present("forwarding", "guests reach out through the host")
    : absent("forwarding", "off; the first start with a network turns it on", "sysctl net.ipv4.ip_forward=1");
}

/** A drop policy in somebody else's forward chain stops guests, and berth changes nobody's firewall. */
async function firewall(): Promise<Finding> {
  const layer = "host firewall";
  try {
    const { stdout } = await runProgram(["nft", "list", "chains"], { package: "nftables" });
    const drops = /hook forward[^}]*policy drop/.test(stdout);
    return drops
      ? absent(
          layer,
          `a forward chain drops what it does not know: guests on ${instance.bridge} may not reach out`,
          `accept ${instance.bridge} there, e.g. nft insert rule ip filter FORWARD iifname ${instance.bridge} accept`,
        )
      : present(layer, "no forward chain drops guests by policy");
  } catch {
    return absent(layer, "nft is not installed: it cannot be looked at", "apt-get install nftables");
  }
}

const checks: readonly Check[] = [
  root,
  kernel,
  ownPrograms,
  userNamespaces,
  () => namespace("cgroup namespaces", "cgroup", "guests would see the host's cgroup paths"),
  () => namespace("time namespaces", "time", "a restored guest's clocks would jump"),
  cgroup,
  () => fileSystem("overlay", "guests share their template through it"),
  storageImage,
  projectQuota,
  btrfsQuota,
  seccomp,
  apparmor,
  securityModules,
  refusalLog,
  () => program("bridge and links", ["ip", "-V"], "iproute2", "guests have no network", true),
  () => program("nftables", ["nft", "--version"], "nftables", "guests cannot reach out", true),
  forwarding,
  firewall,
  () =>
    program(
      "mmdebstrap",
      ["mmdebstrap", "--version"],
      "mmdebstrap",
      "no Debian template can be built",
      false,
    ),
  () =>
    program("lxcfs", ["lxcfs", "--version"], "lxcfs", "free and uptime in a guest show the host's", false),
];
