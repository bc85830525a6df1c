/** Copying an entry with all that is below it, from descriptor to descriptor. */
import { closeSync, constants, fstatSync, mkdirSync, openSync, type Stats, symlinkSync } from "node:fs";
import { BerthError } from "../../base/errors.ts";
import { chownFd, targetOf } from "../../kernel/fd.ts";
import { O_PATH, type Resolve, tryOpenat2 } from "../../kernel/openat2.ts";
import {
  type Attributes,
  anchored,
  copyContent,
  createFile,
  enterDirectory,
  namesIn,
  type Place,
  placed,
  type Step,
  setAttributes,
} from "./entry.ts";

/** What holds for one way, in or out. */
export type Rules = {
  readonly ownerOf: (stat: Stats) => { readonly uid: number; readonly gid: number };
  readonly modeOf: (stat: Stats) => number;
  /** How directories of the source, and of the target, are entered. */
  readonly fromResolve: Resolve;
  readonly toResolve: Resolve;
  /** Whether a file may be read as far as it goes, or only as long as it was when it was opened. */
  readonly trusted: boolean;
  readonly step: Step;
};

export type Counts = {
  files: number;
  directories: number;
  links: number;
  bytes: number;
  /** Sockets, pipes, devices and mounts on the way. */
  readonly skipped: string[];
};

/** One way and what was done of it. */
export type Work = { readonly rules: Rules; readonly counts: Counts };

/** What is copied: a descriptor (O_PATH), what it is, and how messages name it. */
type Item = { readonly fd: number; readonly stat: Stats; readonly path: string };

/** Copies what the descriptor `fd` (O_PATH) is to `place`. `path` is for messages. Throws for what cannot be copied. */
export async function copyEntry(fd: number, path: string, place: Place, work: Work): Promise<void> {
  const item = { fd, path, stat: fstatSync(fd) };
  if (item.stat.isDirectory()) return await mergeDirectory(item, place, work);
  if (!isCopied(item.stat))
    throw new BerthError(
      "host.io",
      `${path} is a device, pipe or socket: it has no content to copy`,
      "name files and directories",
    );
  await placed(place, path, (fresh) => copyLeaf(item, fresh, work));
}

const isCopied = (stat: Stats): boolean => stat.isFile() || stat.isSymbolicLink();

/** A directory that is there takes in what comes; a new one appears whole. */
async function mergeDirectory(item: Item, place: Place, work: Work): Promise<void> {
  const there = enterDirectory(place, work.rules.toResolve, item.path);
  if (there === undefined) return await placed(place, item.path, (fresh) => makeDirectory(item, fresh, work));
  try {
    work.counts.directories += 1;
    await eachChild(item, work, (child, name) => copyEntry(child.fd, child.path, { dir: there, name }, work));
  } finally {
    closeSync(there);
  }
}

/** Nobody else can get into it before it is whole: until then it belongs to the one who copies. */
async function makeDirectory(item: Item, place: Place, work: Work): Promise<void> {
  const { rules, counts } = work;
  mkdirSync(anchored(place), 0o700);
  const dir = enterDirectory(place, rules.toResolve, item.path);
  if (dir === undefined || fstatSync(dir).uid !== process.geteuid?.()) {
    if (dir !== undefined) closeSync(dir);
    throw new BerthError(
      "host.io",
      `${item.path}: something else took its place while it was copied`,
      "copy again, while nothing in the container works there",
    );
  }
  try {
    counts.directories += 1;
    await eachChild(item, work, (child, name) =>
      child.stat.isDirectory()
        ? makeDirectory(child, { dir, name }, work)
        : copyLeaf(child, { dir, name }, work),
    );
    setAttributes(dir, { ...rules.ownerOf(item.stat), mode: rules.modeOf(item.stat), times: item.stat });
  } finally {
    closeSync(dir);
  }
}

/** Runs `visit` on each entry that can be copied; the others are noted. */
async function eachChild(
  { fd, path }: Item,
  { rules, counts }: Work,
  visit: (child: Item, name: Uint8Array) => Promise<void>,
): Promise<void> {
  for (const name of namesIn(fd)) {
    await rules.step(0);
    const childPath = `${path.replace(/\/$/, "")}/${Buffer.from(name).toString()}`;
    const opened = tryOpenat2(fd, name, O_PATH | constants.O_NOFOLLOW, rules.fromResolve);
    if (!("fd" in opened)) {
      counts.skipped.push(childPath); // gone meanwhile, or another file system
      continue;
    }
    try {
      const stat = fstatSync(opened.fd);
      if (stat.isDirectory() || isCopied(stat)) await visit({ fd: opened.fd, stat, path: childPath }, name);
      else counts.skipped.push(childPath);
    } finally {
      closeSync(opened.fd);
    }
  }
}

/** A file or link, where nothing has that name. */
async function copyLeaf({ fd, stat }: Item, place: Place, { rules, counts }: Work): Promise<void> {
  const owner = rules.ownerOf(stat);
  if (stat.isSymbolicLink()) {
    makeLink(targetOf(fd), place, owner);
    counts.links += 1;
    return;
  }
  // The same file as was looked at, and a regular one: opening it waits for nobody and does nothing.
  const from = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const limit = rules.trusted ? Number.POSITIVE_INFINITY : stat.size;
    const attributes = { ...owner, mode: rules.modeOf(stat), times: stat };
    counts.bytes += await writeFile(place, attributes, (to) => copyContent(from, to, limit, rules.step));
    counts.files += 1;
  } finally {
    closeSync(from);
  }
}

/** Whoever puts something else in its place meanwhile gets no owner changed by us. */
function makeLink(target: Uint8Array, place: Place, owner: ReturnType<Rules["ownerOf"]>): void {
  symlinkSync(Buffer.from(target), anchored(place));
  const made = tryOpenat2(place.dir, place.name, O_PATH | constants.O_NOFOLLOW, "oneMount");
  if (!("fd" in made)) return;
  try {
    const stat = fstatSync(made.fd);
    if (stat.isSymbolicLink() && stat.uid === process.geteuid?.()) chownFd(made.fd, owner.uid, owner.gid);
  } finally {
    closeSync(made.fd);
  }
}

/** A new file that `fill` writes to; gives its length. */
export async function writeFile(
  place: Place,
  attributes: Attributes,
  fill: (to: number) => Promise<number>,
): Promise<number> {
  const to = createFile(place);
  try {
    const length = await fill(to);
    setAttributes(to, attributes);
    return length;
  } finally {
    closeSync(to);
  }
}
