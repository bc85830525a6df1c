/** A machine's disks: a qcow2 layer over a frozen root disk, two empty scratch disks, the payload. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { cached } from "./cache.ts";
import { command } from "./command.ts";
import { makeDisk } from "./image.ts";
import type { Disks } from "./machine.ts";
import type { Qemu } from "./qemu.ts";

/** Bytes; the guest learnt these sizes before it was saved, so they never change. */
const scratchSize = "2G";
export const payloadSize = "2G";

/** Payload images kept beside the latest: other tests may be about to start from them. */
const payloadsKept = 3;

export interface BackingDisk {
  readonly path: string;
  readonly format: "raw" | "qcow2";
}

/** Makes the writable disks. The payload's is made apart: it is shared. */
export async function createDisks(qemu: Qemu, disks: Disks, backing: BackingDisk): Promise<void> {
  const create = [
    qemu.img,
    "create",
    "-q",
    "-f",
    "qcow2",
    "-b",
    backing.path,
    "-F",
    backing.format,
    disks.root,
  ];
  await command(create, { env: qemu.env });
  await command(["truncate", "-s", scratchSize, ...disks.scratch]);
}

/** An ext4 image of a directory's present content, from the cache when nothing in it has changed; empty without one. */
export async function payloadDisk(directory: string | undefined): Promise<string> {
  const key = directory ? stamp(resolve(directory)) : "none";
  const build = async (fresh: string): Promise<void> => {
    const image = join(fresh, "payload.img");
    if (directory) await makeDisk(image, resolve(directory), payloadSize, true);
    else await command(["truncate", "-s", payloadSize, image]);
  };
  const dir = await cached("payload", key, build, payloadsKept);
  return join(dir, "payload.img");
}

/** Names, sizes, modes and change times: enough to see that something was built anew, without reading 100 MB. */
function stamp(directory: string): string {
  const hash = createHash("sha256").update(directory);
  for (const entry of readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()) {
    const { size, mode, mtimeMs, ctimeMs } = lstatSync(join(directory, entry));
    hash.update(`${entry}\0${size}\0${mode}\0${mtimeMs}\0${ctimeMs}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}
