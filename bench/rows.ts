/** What is compared with whom, and what is wanted of it. The figures are put in by the works; see run.ts. */

/** Bounds on the ratio ours : peer, and on our own median. */
export type Goal = { readonly atMost?: number; readonly atLeast?: number; readonly below?: number };

export type Row = {
  /** The work that measures it (`--only`). */
  readonly by: string;
  readonly work: string;
  /** Names of the series in the samples. */
  readonly ours: string;
  readonly peer: string;
  readonly unit: "ms" | "KiB" | "processes" | "1/s" | "MiB/s";
  /** Without one it is told for comparison alone. */
  readonly goal?: Goal;
  readonly note?: string;
};

const cycle = { by: "cycle", unit: "ms" } as const;
const inside = { by: "inside", unit: "1/s" } as const;
const near = { atLeast: 0.97 } as const;

const growth = (count: string): readonly Row[] => [
  {
    by: "many",
    work: `ls, ${count} containers`,
    ours: `berth ls ${count}`,
    peer: `lxc-ls -f ${count}`,
    unit: "ms",
    goal: { atMost: 0.1, below: 100 },
  },
  {
    by: "many",
    work: `start all that run of ${count}, one after the other`,
    ours: `berth start all ${count}`,
    peer: `lxc-start all ${count}`,
    unit: "ms",
    goal: { atMost: 1 },
  },
  {
    by: "many",
    work: `host memory of those that run of ${count}`,
    ours: `berth memory ${count}`,
    peer: `lxc memory ${count}`,
    unit: "KiB",
    goal: { atMost: 1 },
  },
  {
    by: "many",
    work: `host processes of those that run of ${count}, guests' own included`,
    ours: `berth processes ${count}`,
    peer: `lxc processes ${count}`,
    unit: "processes",
    goal: { atMost: 1 },
    note: "both have one process a guest beside the guest's own",
  },
];

/** The rows, for populations of these sizes and fleets of this size. */
export const rowsFor = (populations: readonly string[], fleet: number): readonly Row[] => [
  {
    ...cycle,
    work: "start to init's exec, by CLI",
    ours: "berth start",
    peer: "lxc-start",
    goal: { atMost: 0.4 },
  },
  { ...cycle, work: "start against runc", ours: "berth start", peer: "runc run -d" },
  { ...cycle, work: "start against crun", ours: "berth start", peer: "crun run -d" },
  {
    ...cycle,
    work: "create, start and a whole run against systemd-nspawn",
    ours: "berth start",
    peer: "systemd-nspawn true",
    note: "systemd-nspawn: the whole life of a guest whose init is `true`, with its clean-up",
  },
  {
    by: "library",
    work: "start to init's exec, from a running process",
    ours: "library start",
    peer: "floor",
    unit: "ms",
    goal: { atMost: 2 },
  },
  { ...cycle, work: "exec true", ours: "berth exec", peer: "lxc-attach", goal: { atMost: 0.8 } },
  { ...cycle, work: "exec true against runc", ours: "berth exec", peer: "runc exec" },
  {
    ...cycle,
    work: "stop (kill) and rm",
    ours: "berth stop and rm",
    peer: "lxc-stop -k and lxc-destroy",
    goal: { atMost: 0.1 },
  },
  {
    ...cycle,
    work: "create from a template, with quota",
    ours: "berth create",
    peer: "lxc-copy -s -B overlay",
    goal: { atMost: 0.3 },
    note: "the peer's has no quota",
  },
  { ...cycle, work: "info", ours: "berth info", peer: "lxc-info", goal: { atMost: 1 } },
  {
    by: "systemd",
    work: "clone and start of a systemd guest until `running`",
    ours: "berth clone to running",
    peer: "lxc-copy to running",
    unit: "ms",
    goal: { atMost: 0.8 },
  },
  {
    by: "fleet",
    work: `boot of ${fleet} systemd guests until all are \`running\``,
    ours: "berth fleet",
    peer: "lxc fleet",
    unit: "ms",
    goal: { atMost: 0.8 },
  },
  {
    by: "keeper",
    work: "host memory an idle guest, beyond its own",
    ours: "keeper PSS",
    peer: "lxc monitor PSS",
    unit: "KiB",
    goal: { atMost: 0.25 },
  },
  ...populations.flatMap(growth),
  { ...inside, work: "in the guest: CPU", ours: "guest cpu", peer: "host cpu", goal: near },
  { ...inside, work: "in the guest: fork and exec", ours: "guest fork", peer: "host fork", goal: near },
  { ...inside, work: "in the guest: create a file", ours: "image create", peer: "host create", goal: near },
  { ...inside, work: "in the guest: read a file", ours: "image read", peer: "host read", goal: near },
  { ...inside, work: "in the guest: fsync, image", ours: "image fsync", peer: "host fsync", goal: near },
  { ...inside, work: "in the guest: fsync, plain", ours: "plain fsync", peer: "host fsync", goal: near },
  {
    ...inside,
    work: "in the guest: TCP round trips to the host",
    ours: "guest latency",
    peer: "bare namespace latency",
    goal: near,
    note: "the peer is a network namespace with a veth on the same bridge, and nothing else",
  },
  {
    ...inside,
    unit: "MiB/s",
    work: "in the guest: TCP throughput to the host",
    ours: "guest throughput",
    peer: "bare namespace throughput",
    goal: near,
  },
];
