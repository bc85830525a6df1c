/** Files that survive a crash half way: a reader sees the old or the new content, never a mixture. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "./errors.ts";

/** Writes by a temporary file and rename. `sync` makes it last through a power cut (not wanted on the start path). */
export function writeAtomic(
  path: string,
  content: string | Uint8Array,
  options: { mode?: number; sync?: boolean } = {},
): void {
  const temporary = `${path}.new-${process.pid}`;
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const fd = openSync(temporary, "w", options.mode ?? 0o600);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    if (options.sync !== false) fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  closeSync(fd);
  renameSync(temporary, path);
  if (options.sync !== false) syncDir(dirname(path));
}

/** Makes renames and removals in a directory last. */
export function syncDir(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The file's text, or undefined when it does not exist. */
export function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    // ENODEV: the file of a cgroup or device that went while it was read.
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ENODEV") return undefined;
    throw error;
  }
}

/** The names in a directory; none when it does not exist. */
export function listIfExists(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * Claims a name for an owner: a symbolic link, whose making is atomic together with what it says. False when somebody
 * was first.
 */
export function claim(path: string, owner: string): boolean {
  try {
    symlinkSync(owner, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Who has claimed the name, or undefined. */
export function claimant(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

export function makeDirs(...paths: readonly string[]): void {
  for (const path of paths) mkdirSync(path, { recursive: true, mode: 0o755 });
}
