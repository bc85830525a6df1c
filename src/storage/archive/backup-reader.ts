/**
 * Reading a backup: once to its end, to see that it is whole and unaltered, and then again to unpack it. The file is
 * opened once; should somebody write to it meanwhile, the second reading ends with an error too.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { BerthError } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { packingOf } from "../import/packing.ts";
import { spool } from "../import/spool.ts";
import { unpackedStream } from "../import/unpacked-stream.ts";
import { openStaging } from "../staging.ts";
import { type Manifest, parseManifest } from "./backup-manifest.ts";
import { sealCheck, sealName } from "./backup-seal.ts";
import { configName, manifestName, processesName } from "./backup-writer.ts";
import { refused } from "./damaged.ts";
import type { Member } from "./member.ts";
import { readTar } from "./tar-reader.ts";

export type Backup = {
  readonly manifest: Manifest;
  /** config.yaml as it was. */
  readonly config: string;
  /** What is known of its processes, where they come along. */
  readonly processes: string | undefined;
  /** Of all that it holds, 64 hex digits. */
  readonly sha256: string;
  /** The members of its trees, in order. Read to their end they have been compared with the hash again. */
  readonly trees: () => AsyncGenerator<Member>;
};

/** What a member that describes the backup may have. */
const LARGEST_TEXT = 1 << 20;
/** It is no backup when its description is not among the first members. */
const FIRST_MEMBERS = 4;
const noLimits = { size: Number.POSITIVE_INFINITY, entries: 0 } as const;

/**
 * Runs `work` with the backup in `file` ("-": stdin), which has been read to its end and found whole. Fails with
 * archive.damaged or archive.refused before anything else is done.
 */
export async function withBackup<T>(
  file: string,
  progress: Progress,
  work: (backup: Backup) => Promise<T>,
): Promise<T> {
  return await withSource(file, progress, async (fd) => {
    const about = await survey(fd, file, progress);
    const manifest = parseManifest(about.manifest, file);
    async function* trees(): AsyncGenerator<Member> {
      const second = openReading(fd, file, progress, "unpacking it");
      try {
        for await (const member of second.members) if (!isDescription(member)) yield member;
        if (second.verdict() !== about.sha256) throw changed(file);
      } finally {
        second.close();
      }
    }
    return await work({ ...about, manifest, trees });
  });
}

/** Opens the file once, or makes one without a name of what comes from stdin: it has to be read twice. */
async function withSource<T>(file: string, progress: Progress, work: (fd: number) => Promise<T>): Promise<T> {
  if (file !== "-") {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
    try {
      if (fstatSync(fd).isFile()) return await work(fd);
      throw new BerthError("usage.bad-argument", `${file} is no regular file`, "name a file, or - for stdin");
    } finally {
      closeSync(fd);
    }
  }
  const staging = openStaging();
  try {
    const limits = { size: Number.POSITIVE_INFINITY, space: Number.POSITIVE_INFINITY, entries: 0 };
    const spooled = await spool(file, staging, limits, progress);
    try {
      return await work(spooled.fd);
    } finally {
      spooled.close();
    }
  } finally {
    await staging.discard();
  }
}

type Reading = {
  readonly members: AsyncGenerator<Member>;
  /** Once all members were read: the hash. */
  readonly verdict: () => string;
  readonly close: () => void;
};

/** Begins at the start, whatever has been read from the file before. */
function openReading(fd: number, file: string, progress: Progress, label: string): Reading {
  const packing = packingOf(fd, file);
  if (packing.kind !== "tar") throw notOurs(file);
  const again = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
  const source = { fd: again, size: fstatSync(again).size };
  const check = sealCheck(unpackedStream(source, packing, noLimits, progress, label), file);
  return { members: readTar(check.chunks), verdict: check.verdict, close: () => closeSync(again) };
}

/** Reads the whole file, and what describes it. */
async function survey(
  fd: number,
  file: string,
  progress: Progress,
): Promise<Pick<Backup, "config" | "processes" | "sha256"> & { readonly manifest: string }> {
  const texts = new Map<string, string>();
  const reading = openReading(fd, file, progress, "checking it");
  let members = 0;
  try {
    for await (const member of reading.members) {
      members += 1;
      const name = member.name.toString("latin1");
      if (told.has(name)) texts.set(name, await textOf(member, file));
      else if (members >= FIRST_MEMBERS && !texts.has(manifestName)) throw notOurs(file);
    }
    const [manifest, config] = [texts.get(manifestName), texts.get(configName)];
    if (manifest === undefined || config === undefined) throw notOurs(file);
    return { manifest, config, processes: texts.get(processesName), sha256: reading.verdict() };
  } finally {
    reading.close();
  }
}

async function textOf(member: Member, file: string): Promise<string> {
  if (member.type !== "file" || member.size > LARGEST_TEXT) throw notOurs(file);
  const bytes = Buffer.alloc(member.size);
  for await (const piece of member.content()) bytes.set(piece.bytes, piece.at);
  return bytes.toString("utf8");
}

const told: ReadonlySet<string> = new Set([manifestName, configName, processesName]);
const descriptions: ReadonlySet<string> = new Set(["metadata.yaml", sealName, ...told]);

const isDescription = ({ name }: Member): boolean => descriptions.has(name.toString("latin1"));

const notOurs = (file: string): BerthError =>
  refused(
    `${file} is no backup that berth made`,
    "a root file system of LXC, Incus or OpenVZ becomes a template: `berth template import NAME FILE`, then `berth create`",
  );

const changed = (file: string): BerthError =>
  new BerthError(
    "archive.damaged",
    `${file} was altered while it was restored`,
    "nothing was restored; try again",
  );
