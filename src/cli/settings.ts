/** The options by which `create` and `set` write settings: each names the key of config.yaml it stands for. */
import { BerthError } from "../base/errors.ts";
import { type ChangeFault, type ConfigChange, type ConfigChanges, changeFaults } from "../config/parse.ts";
import { containerSettings } from "../config/reference.ts";
import type { CommandContext, OptionSpec } from "./framework/command.ts";

const none = ["none"] as const;

/** Options and the setting behind each; values are written to the file as the user spelt them. */
const table = [
  {
    path: ["memory"],
    spec: { name: "memory", short: "m", kind: "size", words: none, summary: "Memory limit" },
  },
  { path: ["swap"], spec: { name: "swap", kind: "size", words: none, summary: "Swap on top of memory" } },
  {
    path: ["cpus"],
    spec: {
      name: "cpus",
      short: "c",
      kind: "number",
      words: none,
      summary: "Processors' worth of time, such as 1.5",
    },
  },
  {
    path: ["cpu-weight"],
    spec: { name: "cpu-weight", kind: "count", summary: "Share of scarce time, 1 to 10000; 100 is usual" },
  },
  {
    path: ["pids"],
    spec: { name: "pids", kind: "count", words: none, summary: "Processes and threads at most" },
  },
  {
    path: ["disk"],
    spec: {
      name: "disk",
      short: "d",
      kind: "size",
      value: "[SOFT:]SIZE",
      words: none,
      soft: true,
      summary: "Disk space for what the container changes",
    },
  },
  {
    path: ["inodes"],
    spec: {
      name: "inodes",
      kind: "count",
      value: "[SOFT:]N",
      words: none,
      soft: true,
      summary: "Files at most for what the container changes",
    },
  },
  {
    path: ["quota-users"],
    spec: {
      name: "quota-users",
      kind: "boolean",
      summary: "Whether users and groups inside can be given limits (`berth quota set`); at creation only",
    },
  },
  { path: ["hostname"], spec: { name: "hostname", kind: "string", summary: "Host name in the guest" } },
  {
    path: ["description"],
    spec: { name: "description", kind: "string", summary: "A word about what it is for" },
  },
  {
    path: ["ctid"],
    spec: { name: "ctid", kind: "count", summary: "A number that names it too, as OpenVZ had it" },
  },
  {
    path: ["network", "mode"],
    spec: {
      name: "network",
      kind: "choice",
      choices: ["bridge", "none"],
      summary: "A link to the bridge, or loopback alone",
    },
  },
  {
    path: ["network", "address"],
    spec: { name: "address", short: "a", kind: "string", value: "ADDRESS", summary: "IPv4 address, or auto" },
  },
  {
    path: ["network", "gateway"],
    spec: { name: "gateway", kind: "string", value: "ADDRESS", summary: "Default gateway" },
  },
  {
    path: ["network", "dns"],
    spec: {
      name: "dns",
      kind: "string",
      value: "ADDRESS",
      repeatable: true,
      summary: "Name server; may be repeated",
    },
  },
  {
    path: ["network", "search"],
    spec: {
      name: "search",
      kind: "string",
      value: "DOMAIN",
      repeatable: true,
      summary: "Search domain; may be repeated",
    },
  },
  { path: ["network", "mtu"], spec: { name: "mtu", kind: "count", summary: "MTU of the guest's link" } },
  {
    path: ["init"],
    spec: {
      name: "init",
      kind: "string",
      value: "WORD",
      repeatable: true,
      summary: "Program that runs as PID 1; repeat for its arguments",
    },
  },
  {
    path: ["environment"],
    spec: {
      name: "env",
      short: "e",
      kind: "pair",
      repeatable: true,
      summary: "Environment of init and exec; may be repeated",
    },
  },
  {
    path: ["sysctl"],
    spec: {
      name: "sysctl",
      kind: "pair",
      repeatable: true,
      summary: "Kernel setting of the guest's own namespaces; may be repeated",
    },
  },
  {
    path: ["stop", "signal"],
    spec: {
      name: "stop-signal",
      kind: "string",
      value: "SIGNAL",
      summary: "Signal that asks init to shut down",
    },
  },
  {
    path: ["stop", "timeout"],
    spec: { name: "stop-timeout", kind: "duration", summary: "How long a stop waits before it kills" },
  },
  {
    path: ["snapshots", "every"],
    spec: {
      name: "snapshot-every",
      kind: "duration",
      summary: "How often a snapshot is taken by `berth snapshot run`",
    },
  },
  {
    path: ["snapshots", "keep"],
    spec: { name: "snapshot-keep", kind: "count", summary: "How many of those are kept" },
  },
  {
    path: ["no-new-privs"],
    spec: { name: "no-new-privs", kind: "boolean", summary: "Set-uid programs gain nothing in the guest" },
  },
  {
    path: ["nesting"],
    spec: {
      name: "nesting",
      kind: "boolean",
      summary: "The guest may make namespaces, and so containers of its own; it cannot be checkpointed then",
    },
  },
  {
    path: ["seccomp", "profile"],
    spec: {
      name: "seccomp-profile",
      kind: "choice",
      choices: ["default", "strict"],
      summary: "System calls it may make: all but the dangerous, or those on a list alone",
    },
  },
  {
    path: ["seccomp", "allow"],
    spec: {
      name: "seccomp-allow",
      kind: "string",
      value: "CALL",
      repeatable: true,
      summary: "System call that the profile refuses and it may make; may be repeated",
    },
  },
  {
    path: ["seccomp", "deny"],
    spec: {
      name: "seccomp-deny",
      kind: "string",
      value: "CALL",
      repeatable: true,
      summary: "System call that it is refused besides; may be repeated",
    },
  },
  {
    path: ["seccomp", "log"],
    spec: {
      name: "seccomp-log",
      kind: "boolean",
      summary: "The kernel logs the calls it is refused, for `berth security log`",
    },
  },
  {
    path: ["apparmor"],
    spec: {
      name: "apparmor",
      kind: "choice",
      choices: ["auto", "stacked", "none"],
      summary: "A profile of its own where the host has AppArmor; stacked: and it may load its own",
    },
  },
  {
    path: ["selinux-label"],
    spec: {
      name: "selinux-label",
      kind: "string",
      value: "LABEL",
      summary: "Label of what runs in it where SELinux enforces",
    },
  },
] as const satisfies readonly { path: readonly string[]; spec: OptionSpec }[];

const mountOption = {
  name: "mount",
  kind: "string",
  value: "SOURCE:TARGET[:OPTIONS]",
  repeatable: true,
  summary: "Directory or file of the host, or a volume, and its place in the guest; may be repeated",
} as const satisfies OptionSpec;

export const settingOptions: readonly OptionSpec[] = [...table.map(({ spec }) => spec), mountOption];

/** The settings a command line asks for. Throws usage.bad-argument for a value that no container could have. */
export function settingsFrom(context: Pick<CommandContext, "options" | "written">): ConfigChanges {
  const changes = askedFor(context);
  const [fault] = changeFaults(changes);
  if (fault !== undefined) throw badValue(fault, context);
  return changes;
}

function badValue(
  { path, value, message }: ChangeFault,
  { options }: Pick<CommandContext, "options">,
): BerthError {
  const key = path.join(".").replace(/-soft$/, "");
  const isGiven = ({ name }: OptionSpec): boolean => Object.keys(options).includes(name);
  const spec =
    path[0] === "mounts"
      ? mountOption
      : (table.find((entry) => `${key}.`.startsWith(`${entry.path.join(".")}.`))?.spec ??
        table.find((entry) => entry.path.join(".").startsWith(`${key}.`) && isGiven(entry.spec))?.spec);
  const example = containerSettings().find((setting) => setting.key === key)?.example ?? "";
  return new BerthError(
    "usage.bad-argument",
    `--${spec?.name ?? key}: ${typeof value === "object" ? "" : `${JSON.stringify(String(value))}: `}${message}`,
    `${spec?.summary ?? ""}${/^[^[{]/.test(example) && typeof value !== "boolean" ? `, such as ${example}` : ""}`,
  );
}

function askedFor(context: Pick<CommandContext, "options" | "written">): ConfigChanges {
  const optionOf = (wanted: string): unknown =>
    Object.entries(context.options).find(([name]) => name === wanted)?.[1];
  const settings = table.flatMap(({ path, spec }): readonly ConfigChange[] => {
    const given = optionOf(spec.name);
    if (given === undefined) return [];
    if (Array.isArray(given)) return repeated(path, given);
    if (typeof given === "boolean") return [{ path, value: given }];
    const written = context.written(spec.name) ?? String(given);
    return "soft" in spec ? softAndHard(spec.name, written) : [{ path, value: asWritten(written) }];
  });
  const mounts = optionOf(mountOption.name);
  return [
    ...settings,
    ...(Array.isArray(mounts) ? mounts.map((mount: unknown) => ({ mount: String(mount) })) : []),
  ];
}

/** OpenVZ's order: the soft limit before the hard one; a single one leaves no soft limit. */
function softAndHard(key: string, written: string): readonly ConfigChange[] {
  const [first = "", second] = written.split(":");
  return [
    { path: [`${key}-soft`], value: second === undefined ? null : asWritten(first) },
    { path: [key], value: asWritten(second ?? first) },
  ];
}

/** Pairs become keys below the path, words the list itself. */
function repeated(path: readonly string[], given: readonly unknown[]): readonly ConfigChange[] {
  if (given.length === 0) return [];
  if (given.every((item) => Array.isArray(item))) {
    return given.map(([key, value]: readonly unknown[]) => ({
      path: [...path, String(key)],
      value: String(value),
    }));
  }
  return [{ path, value: given.map(String) }];
}

/** Plain numbers are written without quotes. */
const asWritten = (text: string): string | number =>
  /^\d+(\.\d+)?$/.test(text) && String(Number(text)) === text ? Number(text) : text;
