/**
 * The cache: one directory for each built thing, named from the content of all its inputs. It appears by rename when it
 * is complete, so that a killed build leaves nothing that looks finished. One builder at a time, under a file lock.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "./paths.ts";

/** A short digest over texts, in their order. */
export function digest(...texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}:${text}`);
  return hash.digest("hex").slice(0, 16);
}

/** A digest over the paths, executable bits and contents of a file or of all files under a directory. */
export function treeDigest(root: string): string {
  if (statSync(root).isFile()) return digest(readFileSync(root, "latin1"));
  const entries = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  const files = entries.filter((entry) => statSync(join(root, entry)).isFile());
  return digest(...files.flatMap((file) => [file, readFileSync(join(root, file), "latin1")]));
}

/**
 * The directory of a built thing, built first when it is not there. `build` fills a fresh directory. Of the same family's other
 * directories (older keys) the latest `others` stay; a host that runs from a removed one keeps its files open.
 */
export async function cached(
  family: string,
  key: string,
  build: (dir: string) => Promise<void>,
  others = 0,
): Promise<string> {
  const dir = join(cacheDir(), `${family}-${key}`);
  if (existsSync(dir)) return dir;
  await using _lock = await lockFile(join(cacheDir(), `${family}.lock`));
  if (existsSync(dir)) return dir;
  removeFamily(`t-${family}`, 0);
  const fresh = mkdtempSync(join(cacheDir(), `t-${family}-`));
  try {
    await build(fresh);
    removeFamily(family, others);
    renameSync(fresh, dir);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw error;
  }
  return dir;
}

/** Removes a family's directories but for the `keep` that were made last. */
function removeFamily(family: string, keep: number): void {
  const paths = readdirSync(cacheDir())
    .filter((entry) => entry.startsWith(`${family}-`))
    .map((entry) => join(cacheDir(), entry))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const path of paths.slice(keep)) rmSync(path, { recursive: true, force: true });
}

/** Holds a file lock by a `flock` process that lives on our pipe: it ends when it is disposed, or when we die. */
async function lockFile(path: string): Promise<AsyncDisposable> {
  const holder = Bun.spawn(["flock", path, "sh", "-c", "echo held; exec cat >/dev/null"], {
    stdin: "pipe",
    stdout: "pipe",
  });
  await holder.stdout.getReader().read();
  return {
    [Symbol.asyncDispose]: async () => {
      await holder.stdin.end();
      await holder.exited;
    },
  };
}
