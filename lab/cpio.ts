/** A cpio archive in the "newc" form, the kernel's for an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst). */

export interface CpioEntry {
  readonly path: string;
  /** Type and permission bits, as in st_mode. */
  readonly mode: number;
  readonly data?: Uint8Array;
  readonly device?: readonly [major: number, minor: number];
}

export const directoryMode = 0o040755;
export const programMode = 0o100755;
export const linkMode = 0o120777;
export const characterDeviceMode = 0o020600;

/** Packs entries into one archive with its trailer. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const trailer: CpioEntry = { path: "TRAILER!!!", mode: 0 };
  return Buffer.concat([...entries, trailer].flatMap((entry, index) => packEntry(entry, index + 1)));
}

function packEntry({ path, mode, data = new Uint8Array(), device = [0, 0] }: CpioEntry, inode: number) {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  const head = Buffer.concat([Buffer.from(header), name]);
  return [head, padding(head.length), data, padding(data.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
