/** What is asked of CRIU, in the words of its RPC (images/rpc.proto of criu). Pure. */
import { bytes, encode, type Field, varint } from "./protobuf.ts";

/** The descriptor of criu on which berth-launch gives it the console (native/criu.h). */
const CONSOLE_FD = 4;

/** How a console's devpts is called in the images, and where it lies in guest and keeper. */
const CONSOLE_KEY = "conspts";
const CONSOLE_DIR = "/dev/berth";

const DUMP = 1;
const RESTORE = 2;
const SINGLE_PRE_DUMP = 13;
const CGROUPS_SOFT = 3;
const LOCK_BY_NFTABLES = 2;
const CLONE_NEWNET = 0x40000000;
/** Files that are open but have no name any more, kept in the images up to this size. */
const GHOST_LIMIT = 64 << 20;

export type DumpWish = {
  readonly images: string;
  readonly pid: number;
  /** "tty[RDEV:DEV]" of the console's slave. */
  readonly console: string;
  readonly logLevel: number;
  /** Whether the processes go on once all is written, and with them their connections. */
  readonly leaveRunning: boolean;
  /** Images of the last pass over its memory, from `images`: only what was written to since is written down. */
  readonly parent: string | undefined;
};

export type PassWish = Pick<DumpWish, "images" | "pid" | "logLevel" | "parent">;

export type RestoreWish = {
  readonly images: string;
  /** Where the guest's root is mounted. */
  readonly root: string;
  readonly console: string;
  readonly logLevel: number;
  /** Whether connections are closed instead of brought back. */
  readonly disconnected: boolean;
};

/** Dumps the guest whose init is `pid`; unless it goes on, the network stays locked and the processes are ended when all is written. */
export const dumpRequest = (wish: DumpWish): Uint8Array =>
  request(DUMP, [
    ...common(wish.images, "dump.log", wish.logLevel),
    varint(2, wish.pid),
    varint(3, wish.leaveRunning),
    bytes(37, `mnt[${CONSOLE_DIR}]:${CONSOLE_KEY}`),
    bytes(37, wish.console),
    ...(wish.parent === undefined ? [] : upon(wish.parent)),
  ]);

/** Writes down the memory alone of a guest that works on, or what of it was written to since the pass before. */
export const passRequest = (wish: PassWish): Uint8Array =>
  request(SINGLE_PRE_DUMP, [
    ...common(wish.images, "dump.log", wish.logLevel),
    varint(2, wish.pid),
    ...(wish.parent === undefined ? [TRACK] : upon(wish.parent)),
  ]);

/** track_mem: from now on the kernel notes which pages are written to. */
const TRACK = varint(15, true);
const upon = (parent: string): Field[] => [bytes(14, parent), TRACK];

/** Brings it back as a child of the process that runs criu. */
export const restoreRequest = (wish: RestoreWish): Uint8Array =>
  request(RESTORE, [
    ...common(wish.images, "restore.log", wish.logLevel),
    bytes(13, wish.root),
    varint(26, true), // rst_sibling
    varint(52, wish.disconnected), // tcp_close
    bytes(27, encode([bytes(1, wish.console), varint(2, CONSOLE_FD)])), // inherit_fd
    bytes(37, `mnt[${CONSOLE_KEY}]:${CONSOLE_DIR}`),
    varint(65, true), // mntns_compat_mode: the newer way fails on services with mounts of their own
  ]);

const common = (images: string, log: string, logLevel: number): Field[] => [
  varint(1, -1), // images_dir_fd: by name instead
  varint(4, true), // ext_unix_sk
  varint(5, true), // tcp_established
  varint(8, true), // file_locks
  varint(9, logLevel),
  bytes(10, log),
  varint(12, true), // notify_scripts
  varint(18, true), // link_remap
  varint(34, CGROUPS_SOFT),
  varint(35, GHOST_LIMIT),
  varint(38, CLONE_NEWNET), // empty_ns: links and addresses are made by us
  varint(64, LOCK_BY_NFTABLES),
  bytes(68, images),
];

const request = (type: number, options: readonly Field[]): Uint8Array =>
  encode([varint(1, type), bytes(2, encode(options))]);
