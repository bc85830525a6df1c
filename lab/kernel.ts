/**
 * The guest's kernel in the form that starts fastest under emulation: the uncompressed vmlinux, entered by PVH without any
 * boot loader, and an initramfs with nothing but busybox and the modules on the way to the root disk.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { commandBytes } from "./command.ts";
import {
  type CpioEntry,
  characterDeviceMode,
  cpioArchive,
  directoryMode,
  linkMode,
  programMode,
} from "./cpio.ts";
import { labError } from "./error.ts";

/** Modules for the root disk; those built into the kernel are passed over. */
const rootDiskModules = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/** The one kernel version installed under a root directory. */
export function kernelVersion(root: string): string {
  const [version, ...others] = readdirSync(join(root, "lib/modules"));
  if (version === undefined || others.length > 0) throw labError(`not exactly one kernel under ${root}`);
  return version;
}

/** The ELF kernel inside a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length). */
export async function extractVmlinux(bzImage: Uint8Array): Promise<Uint8Array> {
  const view = new DataView(bzImage.buffer, bzImage.byteOffset, bzImage.byteLength);
  const setupSectors = view.getUint8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + view.getUint32(0x248, true);
  const packed = bzImage.subarray(start, start + view.getUint32(0x24c, true) - 4); // its size follows in 4 bytes
  const vmlinux = await commandBytes(unpackerFor(packed), { stdin: packed });
  if (Buffer.from(vmlinux.subarray(0, 4)).toString("latin1") !== "\x7fELF")
    throw labError("no ELF kernel in the bzImage");
  return vmlinux;
}

function unpackerFor(packed: Uint8Array): readonly string[] {
  const magic = Buffer.from(packed.subarray(0, 4)).toString("hex");
  if (magic === "28b52ffd") return ["zstd", "-dc"];
  if (magic === "02214c18") return ["lz4", "-dc"]; // the "legacy" frame of linux/lib/decompress_unlz4.c
  if (magic === "fd377a58") return ["xz", "-dc", "--single-stream"];
  if (magic.startsWith("1f8b")) return ["gzip", "-dc"];
  throw labError(`kernel packed in an unknown way (magic ${magic})`);
}

/** The initramfs for the kernel under `root`, with `init` as its first program. */
export async function makeInitramfs(root: string, version: string, init: Uint8Array): Promise<Uint8Array> {
  const modulesDir = join(root, "lib/modules", version);
  const modules = await Promise.all(
    moduleOrder(modulesDir).map((path) => readModule(join(modulesDir, path))),
  );
  const busybox = readFileSync(join(root, "usr/bin/busybox"));
  const directories = ["bin", "dev", "root", "modules"].map((path) => ({ path, mode: directoryMode }));
  return cpioArchive([
    ...directories,
    { path: "dev/console", mode: characterDeviceMode, device: [5, 1] },
    { path: "bin/busybox", mode: programMode, data: busybox },
    { path: "bin/sh", mode: linkMode, data: Buffer.from("busybox") },
    { path: "init", mode: programMode, data: init },
    ...modules.map(
      (data, index): CpioEntry => ({ path: `modules/${index + 10}.ko`, mode: programMode, data }),
    ),
  ]);
}

/** Paths of the root disk's modules, each after those it depends on (modules.dep lists those innermost last). */
function moduleOrder(modulesDir: string): readonly string[] {
  const lines = readFileSync(join(modulesDir, "modules.dep"), "utf8").split("\n");
  const nameOf = (path: string): string =>
    basename(path)
      .replace(/\.ko.*$/, "")
      .replaceAll("-", "_");
  const wanted = rootDiskModules.flatMap((name) => {
    const line = lines.find((entry) => nameOf(entry.split(":")[0] ?? "") === name);
    if (line === undefined) return [];
    const [path = "", dependencies = ""] = line.split(":");
    return [...dependencies.split(" ").filter(Boolean).reverse(), path];
  });
  return [...new Set(wanted)];
}

async function readModule(path: string): Promise<Uint8Array> {
  if (!existsSync(path)) throw labError(`kernel module ${path} is missing`);
  if (path.endsWith(".xz")) return commandBytes(["xz", "-dc", path]);
  if (path.endsWith(".zst")) return commandBytes(["zstd", "-dc", path]);
  return readFileSync(path);
}
