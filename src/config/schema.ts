/**
 * The settings of a container. This table is the only place that knows them: the parser, `berth set`, the defaults
 * and the reference in the manual (docs/reference/config.md) are all made from it.
 */
import * as v from "valibot";
import { mountList } from "./mounts.ts";
import { driverNames } from "./storage-drivers.ts";
import { syscallName } from "./syscalls.ts";
import {
  countLimit,
  cpuLimit,
  duration,
  flag,
  hostname,
  ipv4,
  nameserver,
  plainText,
  signal,
  sizeLimit,
  sizeOrNone,
} from "./values.ts";

const described = <S extends v.GenericSchema>(schema: S, description: string, example: string) =>
  v.pipe(schema, v.metadata({ example }), v.description(description));

const MiB = 2 ** 20;
const TiB = 2 ** 40;

const addressWithPrefix = v.pipe(
  v.string("it must be text"),
  v.regex(
    /^(auto|(\d{1,3}\.){3}\d{1,3}(\/([89]|[12]\d|30))?)$/,
    "it is not an address; write auto, 10.1.2.3 or 10.1.2.3/24",
  ),
  v.check(
    (text) =>
      text === "auto" ||
      text
        .split("/")[0]
        ?.split(".")
        .every((part) => Number(part) <= 255) === true,
    "it is not an address; each of its four numbers is at most 255",
  ),
);

const networkSchema = v.strictObject({
  mode: v.optional(
    described(
      v.picklist(["bridge", "none"], "it must be bridge or none"),
      "`bridge`: a link of its own to the host's bridge, address and NAT; `none`: loopback only.",
      "bridge",
    ),
    "bridge",
  ),
  address: v.optional(
    described(
      addressWithPrefix,
      "IPv4 address; `auto` takes a free one of the bridge's subnet at creation.",
      "10.1.2.3",
    ),
    "auto",
  ),
  gateway: v.optional(described(ipv4, "Default gateway; the bridge's own address when absent.", "10.1.0.1")),
  dns: v.optional(
    described(
      v.pipe(
        v.array(nameserver, "it must be a list of addresses"),
        v.maxLength(3, "at most three name servers"),
      ),
      "Name servers for the guest's resolv.conf; the host's when absent.",
      "[9.9.9.9]",
    ),
  ),
  search: v.optional(
    described(
      v.array(hostname, "it must be a list of domains"),
      "Search domains for resolv.conf.",
      "[example.org]",
    ),
  ),
  mtu: v.optional(
    described(countLimit(576, 65535), "MTU of the guest's link; the bridge's when absent.", "1400"),
  ),
});

const stopSchema = v.strictObject({
  signal: v.optional(
    described(signal, "Signal that asks init to shut down; the template knows it when absent.", "RTMIN+3"),
  ),
  timeout: v.optional(described(duration(0, 3600), "How long a stop waits before it kills.", "60s"), "60s"),
});

const snapshotsSchema = v.strictObject({
  every: v.optional(
    described(
      duration(600, 366 * 86400),
      "How often `berth snapshot run` takes a snapshot by itself; none when absent.",
      "1d",
    ),
  ),
  keep: v.optional(described(countLimit(1, 100), "How many of those that it took are kept.", "7"), 7),
});

const syscallList = v.array(syscallName, "it must be a list of system calls");

const seccompSchema = v.strictObject({
  profile: v.optional(
    described(
      v.picklist(["default", "strict"], "it must be default or strict"),
      "System calls the guest may make. `default`: all but those that reach the host; `strict`: those on a list alone, of the host's own architecture.",
      "strict",
    ),
    "default",
  ),
  allow: v.optional(
    described(syscallList, "System calls that the profile refuses and this guest may make.", "[keyctl]"),
    () => [],
  ),
  deny: v.optional(
    described(syscallList, "System calls that this guest is refused besides.", "[ptrace]"),
    () => [],
  ),
  log: v.optional(
    described(
      flag,
      "The kernel logs each refused call; `berth security log` shows them. A guest can fill the host's log with it.",
      "true",
    ),
    false,
  ),
});

const keyName = (pattern: RegExp, message: string) => v.pipe(v.string(), v.regex(pattern, message));

const settings = v.strictObject({
  template: described(plainText(128), "Template the container was made from, by name.", "debian-13"),
  description: v.optional(described(plainText(256), "A word about what it is for.", "shop front end")),
  ctid: v.optional(
    described(
      countLimit(1, 2 ** 31 - 1),
      "Number for those who come from OpenVZ; a name for `berth` too.",
      "101",
    ),
  ),
  hostname: v.optional(
    described(hostname, "Host name in the guest; the container's name when absent.", "web1"),
  ),
  memory: v.optional(
    described(
      sizeLimit(4 * MiB, 4096 * TiB),
      "Memory limit; at it the guest's largest process is killed.",
      "512M",
    ),
  ),
  swap: v.optional(
    described(
      sizeOrNone(0, 4096 * TiB),
      "Swap on top of memory; when it is absent 0 where memory is limited, else without a limit.",
      "1G",
    ),
  ),
  cpus: v.optional(described(cpuLimit, "Processors' worth of time at most.", "1.5")),
  "cpu-weight": v.optional(
    described(countLimit(1, 10000), "Share of time when processors are scarce; 100 is usual.", "200"),
  ),
  pids: v.optional(described(countLimit(8, 4194304), "Processes and threads at most.", "500"), "4096"),
  disk: v.optional(
    described(sizeLimit(16 * MiB, 64 * TiB), "Disk space for what the container changes.", "10G"),
    "10G",
  ),
  inodes: v.optional(
    described(countLimit(1000, 2 ** 31), "Files at most for what the container changes.", "500k"),
  ),
  mounts: v.optional(
    described(
      mountList,
      "Directories and files of the host, and volumes, that it sees: SOURCE:TARGET:OPTIONS; docs/storage.md has the options.",
      "[/srv/data:/data:ro, pictures:/var/lib/pictures]",
    ),
    () => [],
  ),
  "disk-soft": v.optional(
    described(
      sizeLimit(16 * MiB, 64 * TiB),
      "Disk space above which the container is marked; driver project refuses more once the grace is over.",
      "8G",
    ),
  ),
  "inodes-soft": v.optional(
    described(
      countLimit(1000, 2 ** 31),
      "Number of files above which it is marked, in the same way.",
      "400k",
    ),
  ),
  "quota-users": v.optional(
    described(
      flag,
      "Whether `berth quota set` can give limits to users and groups inside the guest; fixed at creation.",
      "true",
    ),
    false,
  ),
  network: v.optional(networkSchema, {}),
  init: v.optional(
    described(
      v.pipe(
        v.array(plainText(4096), "it must be a list: the program and its arguments"),
        v.minLength(1, "it must name a program"),
        v.check((argv) => argv[0]?.startsWith("/") === true, "its first word must be an absolute path"),
      ),
      "Program that runs as PID 1, and its arguments.",
      "[/sbin/init]",
    ),
    () => ["/sbin/init"],
  ),
  environment: v.optional(
    described(
      v.record(
        keyName(/^[A-Za-z_][A-Za-z0-9_]*$/, "it is not a variable's name; use letters, digits and _"),
        plainText(4096),
        "it must be a map of names to values",
      ),
      "Environment of init and of commands run by `exec`.",
      "{LANG: C.UTF-8}",
    ),
    () => ({}),
  ),
  stop: v.optional(stopSchema, {}),
  snapshots: v.optional(snapshotsSchema, {}),
  sysctl: v.optional(
    described(
      v.record(
        keyName(
          /^(net\.[a-z0-9_./-]+|kernel\.(shm|msg|sem)[a-z_]*|fs\.mqueue\.[a-z_]+|user\.[a-z_]+)$/,
          "it is not a setting of the guest's own namespaces; net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and user.* are",
        ),
        plainText(256),
        "it must be a map of names to values",
      ),
      "Kernel settings of the guest's own namespaces, set before init runs.",
      "{net.ipv4.ip_forward: 1}",
    ),
    () => ({}),
  ),
  privileged: v.optional(
    described(
      flag,
      "No user namespace: root in the guest is root on the host. Only for guests you trust.",
      "false",
    ),
    false,
  ),
  "no-new-privs": v.optional(
    described(flag, "Set-uid programs gain nothing in the guest (sudo and ping stop working).", "false"),
    false,
  ),
  nesting: v.optional(
    described(
      flag,
      "The guest may make namespaces: containers of its own, sandboxes. Such a guest cannot be checkpointed or migrated while it runs.",
      "true",
    ),
    false,
  ),
  seccomp: v.optional(seccompSchema, {}),
  apparmor: v.optional(
    described(
      v.picklist(["auto", "stacked", "none"], "it must be auto, stacked or none"),
      "`auto`: a profile of its own where the host has AppArmor; `stacked`: below it the guest loads profiles of its own; `none`: no profile.",
      "auto",
    ),
    "auto",
  ),
  "selinux-label": v.optional(
    described(
      v.pipe(
        plainText(256),
        v.regex(/^[\w.-]+:[\w.-]+:[\w.-]+(:[\w.:,-]+)?$/, "it is not a label; write user:role:type:level"),
      ),
      "Label of init and of commands run by `exec` where SELinux enforces.",
      "system_u:system_r:container_t:s0",
    ),
  ),
});

/** Settings that exclude each other: the key to blame, whether it holds, and what to do. */
const contradictions: readonly {
  readonly key: "nesting" | "seccomp" | "apparmor";
  readonly holds: (config: v.InferOutput<typeof settings>) => boolean;
  readonly message: string;
}[] = [
  {
    key: "nesting",
    holds: ({ nesting, privileged }) => nesting && privileged,
    message: "it needs a user namespace; take privileged off",
  },
  {
    key: "nesting",
    holds: ({ nesting, seccomp }) => nesting && seccomp.profile === "strict",
    message: "profile strict lets no guest nest; set seccomp.profile to default",
  },
  {
    key: "apparmor",
    holds: ({ apparmor, privileged }) => apparmor === "stacked" && privileged,
    message: "stacked needs a user namespace; take privileged off, or set apparmor to auto",
  },
  {
    key: "seccomp",
    holds: ({ seccomp }) => seccomp.allow.some((name) => seccomp.deny.includes(name)),
    message: "a system call stands both in allow and in deny; take it out of one",
  },
];

export const containerSchema = v.pipe(
  settings,
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    for (const { key, holds, message } of contradictions) {
      if (!holds(dataset.value)) continue;
      const value = dataset.value[key];
      addIssue({ message, path: [{ type: "object", origin: "value", input: dataset.value, key, value }] });
    }
  }),
);

/** What a container's config.yaml says, after defaults: sizes in bytes, durations in seconds, undefined for no limit. */
export type ContainerConfig = v.InferOutput<typeof containerSchema>;

/** Settings of the host, /etc/berth/berth.yaml; all optional. */
export const hostSchema = v.strictObject({
  storage: v.optional(
    described(
      v.picklist(driverNames, `it must be one of ${driverNames.join(", ")}`),
      "Storage driver for new containers; the best that works here when absent.",
      "image",
    ),
  ),
  "disk-grace": v.optional(
    described(
      duration(1, 10 * 365 * 86400),
      "How long containers may be above their soft disk limits.",
      "7d",
    ),
    "7d",
  ),
  mirror: v.optional(
    described(
      plainText(512),
      "Package mirror for template builds; the host's own when absent.",
      "http://deb.debian.org/debian",
    ),
  ),
  network: v.optional(
    v.strictObject({
      subnet: v.optional(
        described(
          v.pipe(
            v.string("it must be text"),
            v.regex(
              /^(\d{1,3}\.){3}\d{1,3}\/(8|9|1\d|2[0-8])$/,
              "it is not a subnet; write such as 10.62.0.0/16",
            ),
          ),
          "Subnet of the bridge; a free one is chosen when absent.",
          "10.62.0.0/16",
        ),
      ),
      dns: v.optional(
        described(
          v.array(nameserver, "it must be a list of addresses"),
          "Name servers for guests; the host's when absent.",
          "[9.9.9.9]",
        ),
      ),
    }),
    {},
  ),
});

export type HostConfig = v.InferOutput<typeof hostSchema>;
