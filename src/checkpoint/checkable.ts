/** What stands in the way of a checkpoint, found before CRIU finds it: who, what, and what to do about it. */
import { BerthError } from "../base/errors.ts";
import { isVolume } from "../config/mounts.ts";
import { type Container, mustRun } from "../container/container.ts";
import type { InitRecord } from "../container/status.ts";
import { runProgram } from "../kernel/run.ts";
import { mountsOf, ofFiles, ofMounts } from "./mount-obstacles.ts";
import { type GuestProcess, guestProcesses, listProc, readProc, readProcLink, unitOf } from "./processes.ts";
import { outsideOf, outsidersNow, type Sessions } from "./sessions.ts";

export type Obstacle = {
  /** Where it is a process: its pid in the guest and on the host, its name, its unit. */
  readonly pid: number | undefined;
  readonly hostPid: number | undefined;
  readonly process: string | undefined;
  readonly unit: string | undefined;
  readonly what: string;
  readonly cure: string;
};

/** How often it is looked again, and after how many milliseconds: what is just ending stands in nobody's way. */
const LOOKS = 5;
const LOOK_MS = 100;

/** Everything that stands in the way and stays; nothing: it can be written. Throws container.not-running. */
export async function obstaclesOf(container: Container, sessions: Sessions = {}): Promise<Obstacle[]> {
  const look = async (): Promise<Obstacle[]> => {
    const ended = new Set(sessions.end === true ? outsidersNow(container.name).map(({ pid }) => pid) : []);
    return (await lookAt(container)).filter(({ hostPid }) => hostPid === undefined || !ended.has(hostPid));
  };
  let found = await look();
  for (let looks = 1; found.length > 0 && looks < LOOKS; looks++) {
    await Bun.sleep(LOOK_MS);
    found = await look();
  }
  return found;
}

async function lookAt(container: Container): Promise<Obstacle[]> {
  const status = mustRun(container.name);
  const processes = guestProcesses(container.name);
  const mounts = mountsOf(processes);
  const inGuest = (one: GuestProcess): Found[] => [
    ...ofMounts(mounts.get(one.pid) ?? [], mounts),
    ...(outsideOf(one, processes, status.init.pid) === undefined ? ofFiles(one.pid, mounts) : []),
  ];
  return [
    ...ofSettings(container, status.unattended),
    ...processes
      .flatMap((one) =>
        [...ofProcess(one, processes, status), ...inGuest(one)].map((found) => about(one, found)),
      )
      // One that has ended meanwhile has no namespaces, and no parent: it is not what it seemed.
      .filter(({ hostPid }) => hostPid === undefined || readProcLink(hostPid, "ns/mnt") !== undefined),
    ...(await ofNetwork(status)),
  ];
}

/** Throws container.not-checkable naming the first obstacles. */
export async function refuseUncheckable(container: Container): Promise<void> {
  const found = await obstaclesOf(container);
  const [first] = found;
  if (first === undefined) return;
  const more = found.length > 1 ? `, and ${found.length - 1} more` : "";
  throw new BerthError(
    "container.not-checkable",
    `container ${container.name} cannot be suspended: ${describe(first)}${more}`,
    `${first.cure}; \`berth checkable ${container.name}\` shows all that stands in the way`,
  );
}

/** "process 312 (nginx, nginx.service): it uses io_uring". */
export function describe({ pid, process, unit, what }: Obstacle): string {
  if (pid === undefined) return what;
  return `process ${pid} (${process}${unit === undefined ? "" : `, ${unit}`}) ${what}`;
}

export type Found = Pick<Obstacle, "what" | "cure">;

const nobody = { pid: undefined, hostPid: undefined, process: undefined, unit: undefined };

const about = (one: GuestProcess, found: Found): Obstacle => ({
  pid: one.guestPid,
  hostPid: one.pid,
  process: one.comm,
  unit: unitOf(one.cgroup),
  ...found,
});

function ofSettings({ name, config }: Container, unattended: boolean): Obstacle[] {
  const found: Found[] = [
    ...(config.privileged
      ? [{ what: "it is privileged", cure: "create it without `privileged: true`" }]
      : []),
    ...(config.apparmor === "stacked"
      ? [
          {
            what: "it may load AppArmor profiles of its own",
            cure: `stop it, \`berth set ${name} --apparmor auto\`, start it`,
          },
        ]
      : []),
    ...config.mounts.map((mount) => ({
      what: `it mounts ${isVolume(mount) ? "volume " : ""}${mount.source} on ${mount.target}`,
      cure: `stop it, \`berth set ${name} --unmount ${mount.target}\`, start it`,
    })),
    ...(unattended ? [{ what: "its keeper died, and with it the console", cure: "restart it" }] : []),
  ];
  return found.map((one) => ({ ...nobody, ...one }));
}

const foundOutside = {
  session: {
    what: "was put in by `berth exec` or `enter` and is none of init's",
    cure: "end that session first, or say --end-sessions",
  },
  remainder: {
    what: "belongs to a session that `berth exec` began outside",
    cure: "start it as a service, e.g. by systemd-run, or say --end-sessions",
  },
} as const;

function ofProcess(one: GuestProcess, all: readonly GuestProcess[], { init }: InitRecord): Found[] {
  if (one.pid === init.pid) return ofDescriptors(one);
  const outside = outsideOf(one, all, init.pid);
  if (outside !== undefined) return [foundOutside[outside]];
  return [...ofNamespaces(one, init.pid), ...ofDescriptors(one)];
}

/** Namespaces within the guest's own, with what systemd calls them. */
const namespaces = {
  user: "PrivateUsers=no",
  pid: "PrivatePIDs=no",
  uts: "ProtectHostname=no",
  ipc: "PrivateIPC=no",
  net: "PrivateNetwork=no",
} as const;

function ofNamespaces(one: GuestProcess, init: number): Found[] {
  return Object.entries(namespaces)
    .filter(([name]) => readProcLink(one.pid, `ns/${name}`) !== readProcLink(init, `ns/${name}`))
    .map(([name, setting]) => ({
      what: `is in a ${name} namespace of its own`,
      cure: `run it without; for a unit: \`systemctl edit\` it to ${setting}`,
    }));
}

const descriptors: readonly (readonly [RegExp, string, string])[] = [
  [/^anon_inode:\[io_uring\]/, "uses io_uring", "switch io_uring off in that program"],
  [/^anon_inode:bpf/, "holds a BPF program or map", "stop it"],
  [/^anon_inode:\[perf_event\]/, "counts events of the processor (perf)", "stop it"],
  [/^anon_inode:\[userfaultfd\]/, "handles page faults (userfaultfd)", "stop it"],
  [/^\/dev\/tty$/, "has /dev/tty open", "close it, or log out where it runs"],
];

function ofDescriptors(one: GuestProcess): Found[] {
  const targets = new Set(listProc(one.pid, "fd").map((fd) => readProcLink(one.pid, `fd/${fd}`) ?? ""));
  return descriptors
    .filter(([pattern]) => [...targets].some((target) => pattern.test(target)))
    .map(([, what, cure]) => ({ what, cure }));
}

/** Links and firewall rules that the guest made itself would be gone after a resume. */
async function ofNetwork({ init }: InitRecord): Promise<Obstacle[]> {
  const links = (readProc(init.pid, "net/dev") ?? "")
    .split("\n")
    .flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? [])
    .filter((name) => name !== "lo" && name !== "eth0");
  const { stdout } = await runProgram(
    ["nsenter", `--net=/proc/${init.pid}/ns/net`, "--", "nft", "list", "tables"],
    { package: "nftables" },
  );
  const found: Found[] = [
    ...links.map((name) => ({
      what: `the guest has made a network link of its own, ${name}`,
      cure: `remove it in the guest: ip link del ${name}`,
    })),
    ...(stdout.trim() === ""
      ? []
      : [
          {
            what: "the guest has firewall rules of its own, which would be gone after a resume",
            cure: "remove them in the guest: nft flush ruleset",
          },
        ]),
  ];
  return found.map((one) => ({ ...nobody, ...one }));
}
