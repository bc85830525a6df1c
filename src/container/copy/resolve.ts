/** From the paths of a copy to open descriptors: on the host as the host resolves them, in a container below its root. */
import { closeSync, constants, fstatSync, openSync, statfsSync } from "node:fs";
import { basename, dirname } from "node:path";
import { asBerthError, BerthError, describeErrno, errnoOf } from "../../base/errors.ts";
import { O_PATH, tryOpenat2 } from "../../kernel/openat2.ts";
import { ID_COUNT } from "../../launch/plan.ts";
import type { GuestRoot } from "./guest-root.ts";

/** Opens a path of one side; an errno when it cannot. */
export type Opener = {
  readonly open: (
    path: string,
    flags: number,
  ) => { readonly fd: number } | { readonly errno: number | string };
  /** How messages name a path. */
  readonly named: (path: string) => string;
};

export const hostSide: Opener = {
  open: (path, flags) => {
    try {
      return { fd: openSync(path, flags) };
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw asBerthError(error);
      return { errno };
    }
  },
  named: (path) => path,
};

/** Links in the path lead where they lead in the container, and nowhere else. */
export const guestSide = ({ fd, name }: GuestRoot): Opener => ({
  open: (path, flags) => tryOpenat2(fd, path, flags, "inRoot"),
  named: (path) => `${name}:${path}`,
});

const failure = (path: string, why: string, hint = ""): BerthError =>
  new BerthError("host.io", `${path}: ${why}`, hint);

/** The source as an O_PATH descriptor: a link itself unless `follow`. */
export function openSource(side: Opener, path: string, follow: boolean): number {
  const opened = side.open(path, O_PATH | (follow ? 0 : constants.O_NOFOLLOW));
  if ("fd" in opened) return opened.fd;
  throw failure(side.named(path), describeErrno(opened.errno), "look at the path, and at the links in it");
}

/** Where a copy goes: into a directory that is there, or to a new name in one. */
export type Target = { readonly dir: number; readonly name: string | undefined };

/** The target's directory, to be closed. Only a single source can get a new name. */
export function openTarget(side: Opener, path: string, single: boolean): Target {
  const whole = side.open(path, O_PATH | constants.O_DIRECTORY);
  if ("fd" in whole) return { dir: whole.fd, name: undefined };
  if (!single)
    throw failure(side.named(path), describeErrno(whole.errno), "several sources go into a directory");
  const name = basename(path);
  if (path.endsWith("/") || name === "" || name === "." || name === "..")
    throw failure(side.named(path), describeErrno(whole.errno), "make the directory first");
  const parent = side.open(dirname(path), O_PATH | constants.O_DIRECTORY);
  if ("fd" in parent) return { dir: parent.fd, name };
  throw failure(side.named(dirname(path)), describeErrno(parent.errno), "make the directory first");
}

/** The name that a source keeps in a directory; `root` where it has none of its own. */
export function nameOfSource(path: string, root: string): string {
  const name = basename(path);
  if (name === "") return root;
  if (name !== "." && name !== "..") return name;
  throw new BerthError("usage.bad-argument", `${path} has no name of its own`, "write out the path");
}

// linux/magic.h
const ordinary = new Map([
  [0x794c7630, "overlay"],
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x01021994, "tmpfs"],
]);

/**
 * Only file systems that hold what was put into them: a file of /proc or /sys that a link of the guest leads to is the
 * kernel, and what the host's root writes there may be for all.
 */
export function mustBeOrdinary(fd: number, path: string): void {
  if (ordinary.has(statfsSync(`/proc/self/fd/${fd}`).type)) return;
  throw failure(
    path,
    "it is not on a file system for files (/proc, /sys and the like are not copied)",
    "`berth exec` reads and writes there with the container's own rights",
  );
}

/**
 * A directory that the guest may write to itself. One of the host that is mounted into it, and that a link of the guest
 * may lead to, is none.
 */
export function mustBelongToGuest(fd: number, { baseUid }: GuestRoot, path: string): void {
  const { uid } = fstatSync(fd);
  if (uid >= baseUid && uid < baseUid + ID_COUNT) return;
  throw failure(
    path,
    "the directory belongs to nobody in the container",
    "copy to one of the container's own",
  );
}

/** Runs `work` and closes the descriptor. */
export async function using<T>(fd: number, work: (fd: number) => Promise<T>): Promise<T> {
  try {
    return await work(fd);
  } finally {
    closeSync(fd);
  }
}
