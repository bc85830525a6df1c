/**
 * A template's tree as a POSIX tar: ustar headers (POSIX.1-1988), with a PAX header (POSIX.1-2001) before an entry
 * whose names, size or extended attributes do not fit. Names are the tree's own bytes. Nothing of the tree is followed.
 */
import { closeSync, constants, openSync, readlinkSync, readSync, type Stats } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { BerthError } from "../../base/errors.ts";
import { xattrsOf } from "../../kernel/xattr.ts";
import { walk } from "../digest.ts";

const BLOCK = 512;
const CHUNK = 1 << 20;
/** Octal digits of a ustar size field: 11. */
const LARGEST = 8 ** 11 - 1;

export type Write = (bytes: Uint8Array) => void;

type Header = {
  readonly name: Buffer;
  readonly type: "0" | "2" | "5" | "x";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly link: Buffer;
};

/** Writes every entry below `root`, its own directory as "./", then the end of the archive. `signal` ends it between entries. */
export async function writeTree(root: string, write: Write, signal?: AbortSignal): Promise<void> {
  writeHeader(
    {
      name: Buffer.from("./"),
      type: "5",
      mode: 0o755,
      uid: 0,
      gid: 0,
      size: 0,
      mtime: 0,
      link: Buffer.alloc(0),
    },
    [],
    write,
  );
  let entries = 0;
  for (const { path, relative, stat } of walk(root)) {
    writeEntry(path, relative, stat, write);
    entries += 1;
    if (entries % 256 === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  write(Buffer.alloc(2 * BLOCK));
}

function writeEntry(path: Buffer, relative: Buffer, stat: Stats, write: Write): void {
  const directory = stat.isDirectory();
  const link = stat.isSymbolicLink() ? readlinkSync(path, { encoding: "buffer" }) : Buffer.alloc(0);
  const size = stat.isFile() ? stat.size : 0;
  if (!directory && !stat.isFile() && !stat.isSymbolicLink())
    throw new BerthError("storage.failed", `${path} is a device, socket or fifo: a template holds none`);
  writeHeader(
    {
      name: Buffer.concat([Buffer.from("./"), relative, Buffer.from(directory ? "/" : "")]),
      type: directory ? "5" : stat.isSymbolicLink() ? "2" : "0",
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      size,
      mtime: Math.max(0, Math.floor(stat.mtimeMs / 1000)),
      link,
    },
    xattrsOf(path).map(({ name, value }) => [Buffer.concat([Buffer.from("SCHILY.xattr."), name]), value]),
    write,
  );
  if (stat.isFile()) writeContent(path, size, write);
}

/** Exactly the size that the header says, whatever the file does meanwhile. */
function writeContent(path: Buffer, size: number, write: Write): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(1, size)));
    for (let left = size; left > 0; ) {
      const got = readSync(fd, chunk, 0, Math.min(chunk.length, left), null);
      if (got === 0) throw new BerthError("storage.failed", `${path} became shorter while it was read`);
      write(chunk.subarray(0, got));
      left -= got;
    }
  } finally {
    closeSync(fd);
  }
  write(Buffer.alloc(padding(size)));
}

const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

type Record = readonly [key: Buffer, value: Buffer];

function writeHeader(header: Header, records: readonly Record[], write: Write): void {
  const extra: Record[] = [...records];
  if (header.name.length > 100) extra.push([Buffer.from("path"), header.name]);
  if (header.link.length > 100) extra.push([Buffer.from("linkpath"), header.link]);
  if (header.size > LARGEST) extra.push([Buffer.from("size"), Buffer.from(String(header.size))]);
  if (extra.length > 0) {
    const body = Buffer.concat(extra.map(([key, value]) => paxRecord(key, value)));
    const name = Buffer.from("././@PaxHeader");
    write(
      block({
        ...header,
        name,
        type: "x",
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: body.length,
        link: Buffer.alloc(0),
      }),
    );
    write(body);
    write(Buffer.alloc(padding(body.length)));
  }
  write(block(header));
}

/** "LENGTH KEY=VALUE\n", where LENGTH counts its own digits too. */
function paxRecord(key: Buffer, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} `), key, Buffer.from("="), value, Buffer.from("\n")]);
}

function block(header: Header): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number): void => {
    bytes.write(value.toString(8).padStart(digits, "0"), at, "latin1");
  };
  header.name.copy(bytes, 0, 0, 100);
  octal(header.mode, 100, 7);
  octal(header.uid, 108, 7);
  octal(header.gid, 116, 7);
  octal(header.size > LARGEST ? 0 : header.size, 124, 11);
  octal(Math.min(header.mtime, LARGEST), 136, 11);
  bytes.fill(0x20, 148, 156);
  bytes.write(header.type, 156, "latin1");
  header.link.copy(bytes, 157, 0, 100);
  bytes.write("ustar\x0000", 257, "latin1");
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}
