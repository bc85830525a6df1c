/**
 * Names of a guest's users and groups, from its own files. The guest wrote them: they are looked up without following
 * a link, read up to a limit, and are good for nothing but showing and finding ids.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { openat2 } from "../kernel/openat2.ts";
import { storageDriver } from "../storage/drivers.ts";
import type { Container } from "./container.ts";
import { templateOf } from "./templates.ts";

export type GuestNames = {
  readonly idOf: (name: string) => number | undefined;
  readonly nameOf: (id: number) => string | undefined;
};

const files = { user: "etc/passwd", group: "etc/group" } as const;
const MAX_BYTES = 2 ** 20;

/** Without names where the file cannot be had: numbers do as well. */
export async function guestNames(container: Container, kind: keyof typeof files): Promise<GuestNames> {
  const text = (await readFile(container, files[kind])) ?? "";
  const entries = parseNames(text);
  const names = new Map([...entries].reverse().map(({ name, id }) => [id, name]));
  const ids = new Map([...entries].reverse().map(({ name, id }) => [name, id]));
  return { idOf: (name) => ids.get(name), nameOf: (id) => names.get(id) };
}

/** "name:x:id:..." a line (passwd(5), group(5)); of two with the same name or id the first counts. */
export function parseNames(text: string): readonly { readonly name: string; readonly id: number }[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , id = ""] = line.split(":");
    return name !== "" && /^\d{1,5}$/.test(id) ? [{ name, id: Number(id) }] : [];
  });
}

/**
 * From the topmost layer that has the file, whether or not the guest runs: in its own root it could have put a file
 * system of its making (FUSE) in the way, on which we would wait for ever.
 */
async function readFile({ state }: Container, path: string): Promise<string | undefined> {
  const read = async (dir: string) => readBelow(`${dir}/upper`, path);
  const own = await storageDriver(state.storage).withVolume(state.uuid, read);
  if (own !== undefined) return own;
  for (const { id, storage } of state.layers) {
    const found = await storageDriver(storage).withVolume(id, read, "ro");
    if (found !== undefined) return found;
  }
  return readBelow(templateOf(state).rootfs, path);
}

function readBelow(root: string, path: string): string | undefined {
  let dir: number | undefined;
  let fd: number | undefined;
  try {
    dir = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
    // A pipe that the guest put there must not stop us.
    fd = openat2(dir, path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY, "noSymlinks");
    if (fd === undefined || !fstatSync(fd).isFile()) return undefined;
    const text = Buffer.alloc(MAX_BYTES);
    return text.toString("utf8", 0, readSync(fd, text, 0, MAX_BYTES, 0));
  } catch {
    return undefined; // a link, or something that no file of names is
  } finally {
    for (const open of [fd, dir]) if (open !== undefined) closeSync(open);
  }
}
