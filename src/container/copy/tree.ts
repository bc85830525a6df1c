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
  /** Told of each piece copied; throws to end it. */
  readonly step: (bytes: number) => Promise<void>;
};

export type Counts = {
  files: number;
  directories: number;
  links: number;
  bytes: number;
  /** Sockets, pipes, devices and mounts on the way. */
  readonly skipped: string[];
};

/** Copies what the descriptor `entry` (O_PATH) is to `place`. `path` is for messages. Throws for what cannot be copied. */
export async function copyEntry(
  entry: number,
  place: Place,
  path: string,
  rules: Rules,
  counts: Counts,
): Promise<void> {
  const stat = fstatSync(entry);
  if (stat.isDirectory()) return await mergeDirectory(entry, stat, place, path, rules, counts);
  if (!isCopied(stat))
    throw new BerthError(
      "host.io",
      `${path} is a device, pipe or socket: it has no content to copy`,
      "name files and directories",
    );
  await placed(place, path, (fresh) => copyLeaf(entry, stat, fresh, rules, counts));
}

const isCopied = (stat: Stats): boolean => stat.isFile() || stat.isSymbolicLink();

/** A directory that is there takes in what comes; a new one appears whole. */
async function mergeDirectory(
  entry: number,
  stat: Stats,
  place: Place,
  path: string,
  rules: Rules,
  counts: Counts,
): Promise<void> {
  const there = enterDirectory(place, rules.toResolve, path);
  if (there === undefined)
    return await placed(place, path, (fresh) => makeDirectory(entry, stat, fresh, path, rules, counts));
  try {
    counts.directories += 1;
    await eachChild(entry, path, rules, counts, (child, name, childPath) =>
      copyEntry(child, { dir: there, name }, childPath, rules, counts),
    );
  } finally {
    closeSync(there);
  }
}

/** Nobody else can get into it before it is whole: until then it belongs to the one who copies. */
async function makeDirectory(
  entry: number,
  stat: Stats,
  place: Place,
  path: string,
  rules: Rules,
  counts: Counts,
): Promise<void> {
  mkdirSync(anchored(place), 0o700);
  const dir = enterDirectory(place, rules.toResolve, path);
  if (dir === undefined || fstatSync(dir).uid !== process.geteuid?.()) {
    if (dir !== undefined) closeSync(dir);
    throw new BerthError("host.io", `${path}: something else took its place while it was copied`);
  }
  try {
    counts.directories += 1;
    await eachChild(entry, path, rules, counts, async (child, name, childPath) => {
      const childStat = fstatSync(child);
      const fresh = { dir, name };
      if (childStat.isDirectory()) await makeDirectory(child, childStat, fresh, childPath, rules, counts);
      else await copyLeaf(child, childStat, fresh, rules, counts);
    });
    setAttributes(dir, { ...rules.ownerOf(stat), mode: rules.modeOf(stat), times: stat });
  } finally {
    closeSync(dir);
  }
}

/** Runs `work` on each entry that can be copied; the others are noted. */
async function eachChild(
  dir: number,
  path: string,
  rules: Rules,
  counts: Counts,
  work: (child: number, name: Uint8Array, path: string) => Promise<void>,
): Promise<void> {
  for (const name of namesIn(dir)) {
    await rules.step(0);
    const childPath = `${path.replace(/\/$/, "")}/${Buffer.from(name).toString()}`;
    const opened = tryOpenat2(dir, name, O_PATH | constants.O_NOFOLLOW, rules.fromResolve);
    if (!("fd" in opened)) {
      counts.skipped.push(childPath); // gone meanwhile, or another file system
      continue;
    }
    try {
      const stat = fstatSync(opened.fd);
      if (stat.isDirectory() || isCopied(stat)) await work(opened.fd, name, childPath);
      else counts.skipped.push(childPath);
    } finally {
      closeSync(opened.fd);
    }
  }
}

/** A file or link, where nothing has that name. */
async function copyLeaf(
  entry: number,
  stat: Stats,
  place: Place,
  rules: Rules,
  counts: Counts,
): Promise<void> {
  const owner = rules.ownerOf(stat);
  if (stat.isSymbolicLink()) {
    makeLink(targetOf(entry), place, owner);
    counts.links += 1;
    return;
  }
  // The same file as was looked at, and a regular one: opening it waits for nobody and does nothing.
  const from = openSync(`/proc/self/fd/${entry}`, constants.O_RDONLY | constants.O_NONBLOCK);
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
