/** A backup as a tar: what it is, its settings, the trees, and the hash of all that. */
import type { Manifest } from "./backup-manifest.ts";
import { imageMetadata } from "./backup-manifest.ts";
import { sealing } from "./backup-seal.ts";
import { mapXattr, toGuest } from "./guest-attributes.ts";
import { DEEPEST, LONGEST } from "./member-path.ts";
import { memberHeader, padding, plainHeader } from "./tar-block.ts";
import { type Write, writeTree } from "./tar-writer.ts";
import type { TreeEntry } from "./tree-entries.ts";

export const manifestName = "berth/manifest.json";
export const configName = "berth/config.yaml";
/** What is known of the guest's processes, where they come along. */
export const processesName = "berth/processes.json";

/** Where a tree lies in the archive; layers from top to bottom. */
export const rootPrefix = "rootfs/";
export const upperPrefix = "upper/";
/** CRIU's images. */
export const processesPrefix = "processes/";
export const layerPrefix = (index: number): string => `layers/${index}/`;

export type BackupTree = {
  readonly prefix: string;
  readonly path: string;
  /** First host id of the range that its files belong to; 0 when privileged. */
  readonly baseUid: number;
};

export type Written = {
  /** Of all content. */
  bytes: number;
  entries: number;
  /** Names left out because they lie too deep to be unpacked anywhere. */
  tooDeep: number;
  /** Owners that are none of the guest's, and became nobody. */
  foreign: number;
};

export type BackupWriter = {
  readonly describeProcesses: (text: string) => Promise<void>;
  readonly tree: (tree: BackupTree) => Promise<void>;
  /** Ends the archive; gives its hash. */
  readonly end: () => Promise<{ readonly sha256: string } & Readonly<Written>>;
};

const NOBODY = 65534;

/** Begins a backup: writes manifest and settings. `onBytes` is told how much content has been written so far. */
export async function startBackup(
  write: Write,
  manifest: Manifest,
  config: string,
  options: { readonly onBytes: (total: number) => void; readonly signal: AbortSignal },
): Promise<BackupWriter> {
  const sealed = sealing(write);
  const seconds = BigInt(Math.floor(Date.parse(manifest.created) / 1000));
  const text = async (name: string, content: string): Promise<void> => {
    const body = Buffer.from(content);
    const mtime = seconds * 1_000_000_000n;
    await sealed.write(
      memberHeader({ ...plainHeader, name: Buffer.from(name), type: "0", size: body.length, mtime }),
    );
    await sealed.write(Buffer.concat([body, Buffer.alloc(padding(body.length))]));
  };
  if (manifest.kind === "whole") await text("metadata.yaml", imageMetadata(manifest));
  await text(manifestName, `${JSON.stringify(manifest, null, 2)}\n`);
  await text(configName, config);
  const written = nothingWritten();
  return {
    describeProcesses: async (content) => await text(processesName, content),
    tree: async (tree) =>
      await writeGuestTree(tree, manifest.kind === "upper", sealed.write, written, options),
    end: async () => ({ sha256: await sealed.end(), ...written }),
  };
}

export const nothingWritten = (): Written => ({ bytes: 0, entries: 0, tooDeep: 0, foreign: 0 });

type WriteOptions = {
  readonly onBytes: (total: number) => void;
  readonly signal: AbortSignal;
  /** Entries that the reader has already. */
  readonly passOver?: (entry: TreeEntry) => boolean;
  /** Somebody writes to the tree. */
  readonly live?: boolean;
};

/** Writes one tree of a guest, ids and attributes as the guest has them; counts in `written`. */
export async function writeGuestTree(
  { prefix, path, baseUid }: BackupTree,
  isLayer: boolean,
  write: Write,
  written: Written,
  { onBytes, signal, passOver, live = false }: WriteOptions,
): Promise<void> {
  const map = toGuest(baseUid);
  await writeTree(path, write, {
    prefix,
    owner: (id) => {
      const mapped = map(id);
      if (mapped === undefined) written.foreign += 1;
      return mapped ?? NOBODY;
    },
    xattr: (xattr) => mapXattr(xattr, map, isLayer),
    leaveOut: (entry) => {
      const deep = isTooDeep(entry);
      if (deep) written.tooDeep += 1;
      const out = deep || isForeignNode(entry, isLayer);
      if (!out) written.entries += 1;
      return out;
    },
    ...(passOver === undefined ? {} : { passOver }),
    onBytes: (bytes) => {
      written.bytes += bytes;
      onBytes(written.bytes);
    },
    signal,
    live,
  });
}

/** Whether an entry is in no archive of a guest's tree. */
export const isLeftOut = (entry: TreeEntry, isLayer: boolean): boolean =>
  isTooDeep(entry) || isForeignNode(entry, isLayer);

/** No program could unpack it by its path, ours included. */
const isTooDeep = ({ depth, relative }: TreeEntry): boolean => depth > DEEPEST || relative.length >= LONGEST;

/** Devices are made at each start, sockets by the program that listens; a raw layer's whiteouts are kept. */
function isForeignNode({ stat }: TreeEntry, isLayer: boolean): boolean {
  if (stat.isSocket() || stat.isBlockDevice()) return true;
  return stat.isCharacterDevice() && !(isLayer && stat.rdev === 0n);
}
