/** Whether memory can be written down in passes while a guest works: found by doing, since both kernel and CRIU must be able to. */
import { closeSync, openSync, readSync } from "node:fs";
import { ptr } from "../kernel/libc.ts";
import { findCriu, trialOf } from "./program.ts";

export const preCopyCure = "a kernel with CONFIG_MEM_SOFT_DIRTY (Debian's have it)";

/** Why it cannot, or undefined. */
export async function preCopyFault(): Promise<string | undefined> {
  if (!tracksWrites()) return "the kernel does not track which pages are written to";
  const criu = await findCriu();
  if ("fault" in criu) return criu.fault;
  const [path = ""] = criu.argv;
  const { version, fault } = await trialOf(path, true);
  return fault === undefined ? undefined : `${path} (${version}): ${fault}`;
}

const PAGE = 4096;

/** A page that was just written has bit 55 of its pagemap entry set where the kernel tracks it (admin-guide/mm/soft-dirty). */
function tracksWrites(): boolean {
  const page = new Uint8Array(PAGE).fill(1);
  const entry = Buffer.alloc(8);
  try {
    const fd = openSync("/proc/self/pagemap", "r");
    try {
      readSync(fd, entry, 0, 8, Math.floor(Number(ptr(page)) / PAGE) * 8);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
  return ((entry.readBigUInt64LE(0) >> 55n) & 1n) === 1n;
}
