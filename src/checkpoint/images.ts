/**
 * CRIU's image files (criu.org/Images): two magic numbers, then entries, each a length and a protocol buffer. Two things
 * in them have to be put right before a restore; both edits are pure.
 */
import { bytesOf, decode, encode, type Field, numberOf, withBytes, withNumbers } from "./protobuf.ts";

const HEADER = 8;

/** An image file as its header and its entries. Throws on one that is cut short. */
export function readImage(file: Uint8Array): { header: Uint8Array; entries: Uint8Array[] } {
  const view = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const entries: Uint8Array[] = [];
  for (let at = HEADER; at < view.length; ) {
    const end = at + 4 <= view.length ? at + 4 + view.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (end > view.length) throw new Error("image file is cut short");
    entries.push(view.subarray(at + 4, end));
    at = end;
  }
  return { header: view.subarray(0, HEADER), entries };
}

export function writeImage(header: Uint8Array, entries: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([
    header,
    ...entries.flatMap((entry) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(entry.length);
      return [length, entry];
    }),
  ]);
}

// images/fdinfo.proto: file_entry { 1 type, 2 id, 3 reg, ..., 12 tfd }; enum fd_types.
const FILE_TYPE = 1;
const FILE_ID = 2;
const FILE_REG = 3;
const FILE_TFD = 12;
const TYPE_REG = 1n;
const TYPE_TIMERFD = 17n;

// images/timerfd.proto: 4 clockid, 5 ticks, 6 settime_flags, 7 vsec, 8 vnsec.
const CLOCK = 4;
const FLAGS = 6;
const VALUE_SEC = 7;
const VALUE_NSEC = 8;
const CLOCK_REALTIME = 0n;
const relativeClocks = new Set([1n, 7n]); // CLOCK_MONOTONIC, CLOCK_BOOTTIME
const ABSTIME = 1n;
const CANCEL_ON_SET = 2n;

/**
 * files.img with timers that fire when they should. CRIU stores what was left of an absolute timer and adds whole
 * seconds of now when it restores: it fires up to a second early, and an event loop that wakes too early never arms it
 * again. So what counts guest time becomes relative, and wall clock time stays absolute but exact. `dumped` and `now`
 * are milliseconds since 1970.
 */
export function fixTimers(file: Uint8Array, dumped: number, now: number): Uint8Array {
  const { header, entries } = readImage(file);
  return writeImage(
    header,
    entries.map((entry) => {
      const fields = decode(entry);
      const timer = numberOf(fields, FILE_TYPE) === TYPE_TIMERFD ? bytesOf(fields, FILE_TFD) : undefined;
      return timer === undefined
        ? entry
        : encode(withBytes(fields, FILE_TFD, encode(fixTimer(decode(timer), dumped, now))));
    }),
  );
}

function fixTimer(timer: Field[], dumped: number, now: number): Field[] {
  const [clock, flags, sec, nsec] = [CLOCK, FLAGS, VALUE_SEC, VALUE_NSEC].map(
    (number) => numberOf(timer, number) ?? 0n,
  ) as [bigint, bigint, bigint, bigint];
  if ((flags & ABSTIME) === 0n || (flags & CANCEL_ON_SET) !== 0n) return timer;
  // Nothing left means disarmed, or fired already: absolute, it would be armed.
  const disarmed = sec === 0n && nsec === 0n;
  if (disarmed || relativeClocks.has(clock)) return withNumbers(timer, { [FLAGS]: flags & ~ABSTIME });
  if (clock !== CLOCK_REALTIME) return timer;
  const due = BigInt(Math.round(dumped * 1e6)) + BigInt.asIntN(64, sec) * 1_000_000_000n + nsec;
  const whole = due / 1_000_000_000n;
  return withNumbers(timer, {
    [VALUE_SEC]: whole - BigInt(Math.floor(now / 1000)),
    [VALUE_NSEC]: due % 1_000_000_000n,
  });
}

// images/regfile.proto: 1 id, 2 flags. images/mm.proto: 12 exe_file_id.
const REG_ID = 1;
const REG_FLAGS = 2;
const MM_EXE = 12;
const O_PATH = 0o10000000n;

/**
 * Programs whose file CRIU describes once for the process that runs it and for a descriptor that cannot be read
 * (O_PATH: systemd holds one on systemd-executor) get a description of their own, else the restore of that process
 * fails with EBADF. Gives the new files.img and those of the mm images (by name) that changed.
 */
export function fixExecutables(
  files: Uint8Array,
  mms: ReadonlyMap<string, Uint8Array>,
): { files: Uint8Array; mms: Map<string, Uint8Array> } {
  const { header, entries } = readImage(files);
  const all = entries.map(decode);
  const pathOnly = new Map(all.flatMap((fields) => onlyPath(fields)));
  let last = all.reduce((most, fields) => bigger(most, numberOf(fields, FILE_ID) ?? 0n), 0n);
  const twins = new Map<bigint, bigint>();
  const added: Uint8Array[] = [];
  const changed = new Map<string, Uint8Array>();
  for (const [name, file] of mms) {
    const image = readImage(file);
    const fields = image.entries.map(decode);
    const exe = fields[0] === undefined ? undefined : numberOf(fields[0], MM_EXE);
    const original = exe === undefined ? undefined : pathOnly.get(exe);
    if (exe === undefined || original === undefined) continue;
    const twin = twins.get(exe) ?? ++last;
    if (!twins.has(exe)) added.push(readable(original, twin));
    twins.set(exe, twin);
    changed.set(
      name,
      writeImage(
        image.header,
        fields.map((mm) => encode(withNumbers(mm, { [MM_EXE]: twin }))),
      ),
    );
  }
  return { files: added.length === 0 ? files : writeImage(header, [...entries, ...added]), mms: changed };
}

const bigger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

function onlyPath(file: Field[]): [bigint, Field[]][] {
  const reg = numberOf(file, FILE_TYPE) === TYPE_REG ? bytesOf(file, FILE_REG) : undefined;
  const id = numberOf(file, FILE_ID);
  if (reg === undefined || id === undefined) return [];
  return ((numberOf(decode(reg), REG_FLAGS) ?? 0n) & O_PATH) === 0n ? [] : [[id, file]];
}

function readable(file: Field[], id: bigint): Uint8Array {
  const reg = decode(bytesOf(file, FILE_REG) ?? new Uint8Array());
  const flags = (numberOf(reg, REG_FLAGS) ?? 0n) & ~O_PATH;
  const twin = encode(withNumbers(reg, { [REG_ID]: id, [REG_FLAGS]: flags }));
  return encode(withBytes(withNumbers(file, { [FILE_ID]: id }), FILE_REG, twin));
}

// images/userns.proto: userns_entry { 1 uid_map, 2 gid_map }, each uid_gid_extent { 1 first, 2 lower_first, 3 count }.
const MAPS = [1, 2];
const LOWER_FIRST = 2;

/** userns.img with another first id of the host. */
export function moveIds(file: Uint8Array, baseUid: number): Uint8Array {
  const { header, entries } = readImage(file);
  return writeImage(
    header,
    entries.map((entry) =>
      encode(
        MAPS.reduce(
          (fields, map) => within(fields, map, (extent) => withNumbers(extent, { [LOWER_FIRST]: baseUid })),
          decode(entry),
        ),
      ),
    ),
  );
}

// images/cgroup.proto: cgroup_entry { 1 sets, 2 controllers }; cg_set_entry { 2 ctls }; cg_member_entry { 2 path,
// 3 cgns_prefix, the length of what the guest does not see }; cg_controller_entry { 2 dirs }; cgroup_dir_entry { 1 dir_name }.
const SETS = 1;
const CONTROLLERS = 2;
const MEMBERS = 2;
const MEMBER_PATH = 2;
const MEMBER_PREFIX = 3;
const DIRS = 2;
const DIR_NAME = 1;

/** cgroup.img with another path of the container's cgroups: "/berth/web1". */
export function moveCgroups(file: Uint8Array, from: string, to: string): Uint8Array {
  const { header, entries } = readImage(file);
  const move = (path: string): string =>
    path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
  const hidden = BigInt(Buffer.byteLength(from));
  const longer = BigInt(Buffer.byteLength(to)) - hidden;
  const member = (fields: Field[]): Field[] => {
    const path = bytesOf(fields, MEMBER_PATH);
    const prefix = numberOf(fields, MEMBER_PREFIX) ?? 0n;
    const text = path === undefined ? "" : Buffer.from(path).toString();
    if (move(text) === text) return fields;
    const moved = withBytes(fields, MEMBER_PATH, Buffer.from(move(text)));
    return prefix < hidden ? moved : withNumbers(moved, { [MEMBER_PREFIX]: prefix + longer });
  };
  const dir = (fields: Field[]): Field[] => {
    const name = Buffer.from(bytesOf(fields, DIR_NAME) ?? new Uint8Array()).toString();
    const slash = name.startsWith("/") ? "" : "/";
    return withBytes(fields, DIR_NAME, Buffer.from(move(slash + name).slice(slash.length)));
  };
  return writeImage(
    header,
    entries.map((entry) =>
      encode(
        within(
          within(decode(entry), SETS, (set) => within(set, MEMBERS, member)),
          CONTROLLERS,
          (one) => within(one, DIRS, dir),
        ),
      ),
    ),
  );
}

/** The same message with each inner message of that number changed. */
const within = (fields: readonly Field[], number: number, change: (inner: Field[]) => Field[]): Field[] =>
  fields.map((field) =>
    field.number === number && field.type === "bytes"
      ? { ...field, value: encode(change(decode(field.value))) }
      : field,
  );
