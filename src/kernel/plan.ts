/**
 * The launch plan as data, and its bytes. `native/plan.h` is the other half of this contract: format, ops and the
 * shape of each op's arguments; plan.test.ts keeps the two tables equal.
 */

/** Op numbers of native/plan.h. */
export const ops = {
  name: 1,
  namespaces: 2,
  idmap: 3,
  init: 4,
  env: 5,
  hostname: 6,
  rundir: 7,
  console: 8,
  reboot: 9,
  events: 10,
  trace: 11,
  cgroupJoin: 20,
  cgroupKeeper: 21,
  cgroupRemove: 22,
  oomEvents: 23,
  deviceBpf: 24,
  endWrite: 25,
  scratch: 30,
  loop: 31,
  bind: 32,
  ownedDir: 33,
  rootOverlay: 34,
  rootBind: 35,
  node: 36,
  dir: 37,
  symlink: 38,
  mount: 40,
  bindSelf: 41,
  bindHost: 42,
  bindConsole: 43,
  mask: 44,
  readonly: 45,
  file: 46,
  sysctl: 47,
  rootShared: 48,
  rlimit: 50,
  oomScore: 51,
  caps: 52,
  noNewPrivs: 53,
  seccomp: 54,
  apparmor: 55,
  seccompLog: 56,
  selinux: 57,
  veth: 60,
  address: 61,
  route: 62,
  linkUp: 63,
  cgroupLikeInit: 70,
  criu: 80,
  criuRequest: 81,
  criuCgroup: 82,
  cgroupWrite: 83,
  prepared: 90,
  sameFile: 91,
  sameText: 92,
  notMounted: 93,
  nftTable: 94,
  state: 95,
  launch: 96,
  makeDir: 97,
  write: 98,
  chown: 99,
  put: 100,
  card: 101,
  facts: 102,
  cells: 103,
  live: 104,
  field: 105,
} as const;

export type Op = keyof typeof ops;

/** One record: the op, then its arguments. Numbers become decimal text; bytes stay as they are. */
export type PlanRecord = readonly [op: Op, ...args: readonly (string | number | Uint8Array)[]];

export type Plan = readonly PlanRecord[];

const VERSION = 1;
const HEADER = 24;
const MAX_SIZE = 1 << 20;

/** The plan's bytes. Throws on a text argument with a NUL byte or a plan above 1 MiB: both are defects of the caller. */
export function encodePlan(plan: Plan): Uint8Array {
  const records = plan.map(encodeRecord);
  const size = records.reduce((sum, record) => sum + record.length, HEADER);
  if (size > MAX_SIZE) throw new Error(`launch plan of ${size} bytes; at most ${MAX_SIZE} are allowed`);
  const header = Buffer.alloc(HEADER);
  header.write("BERTHPLN", 0, "latin1");
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(size, 12);
  header.writeUInt32LE(records.length, 16);
  return Buffer.concat([header, ...records], size);
}

function encodeRecord([op, ...args]: PlanRecord): Buffer {
  const parts = args.flatMap((arg) => {
    const bytes = arg instanceof Uint8Array ? arg : Buffer.from(String(arg));
    if (!(arg instanceof Uint8Array) && bytes.includes(0))
      throw new Error(`NUL byte in an argument of ${op}`);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes, Buffer.alloc(1)];
  });
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(8);
  header.writeUInt16LE(ops[op], 0);
  header.writeUInt16LE(args.length, 2);
  header.writeUInt32LE(body.length, 4);
  return Buffer.concat([header, body]);
}
