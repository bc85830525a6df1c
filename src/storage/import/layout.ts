/** Where in what was unpacked the root file system is, and what the image says of itself. Nothing is followed. */
import { closeSync, constants, fstatSync, readFileSync } from "node:fs";
import { openat2 } from "../../kernel/openat2.ts";
import { refused } from "../archive/damaged.ts";
import { has, list, type Tree } from "../tree.ts";
import { type ImageMetadata, LARGEST_METADATA, parseImageMetadata } from "./incus.ts";

export type ImportFormat = "auto" | "tar" | "directory" | "incus" | "openvz";

export type Layout = {
  /** Relative to what was unpacked: "." or "rootfs". */
  readonly root: "." | "rootfs";
  /** Of an Incus image in one file. */
  readonly metadata: ImageMetadata | undefined;
};

/** One of these is in every root file system. */
const rootNames = ["usr", "etc", "bin", "sbin"] as const;

const virtualMachine = ["rootfs.img", "disk.qcow2"] as const;

/** Fails with archive.refused when there is no root file system, or not that of a container. */
export function findLayout(tree: Tree, format: ImportFormat): Layout {
  const names = new Set(list(tree, "."));
  if (virtualMachine.some((name) => names.has(name)))
    throw refused(
      "the image is one of a virtual machine",
      "berth runs system containers: take the container image",
    );
  const atTop = rootNames.some((name) => names.has(name));
  const wantsTop = format === "tar" || format === "openvz";
  if (format !== "incus" && (atTop || wantsTop)) {
    if (atTop) return { root: ".", metadata: undefined };
    throw refused(
      `there is no root file system at the top of it (which would have ${rootNames.join(", ")})`,
      names.has("rootfs") ? "leave out --format: it is found below rootfs/" : "",
    );
  }
  const text = readSmall(tree, "metadata.yaml");
  if (text === undefined && format === "incus")
    throw refused(
      "it is no Incus image: metadata.yaml is not in it",
      "leave out --format to import it as it is",
    );
  if (!isDirectory(tree, "rootfs") || !rootNames.some((name) => has(tree, `rootfs/${name}`)))
    throw refused(
      `there is no root file system in it: neither at its top nor in rootfs/ is any of ${rootNames.join(", ")}`,
      "import the archive that has the files; an image in two files is imported by its root file system and --metadata",
    );
  return { root: "rootfs", metadata: text === undefined ? undefined : parseImageMetadata(text) };
}

function isDirectory(tree: Tree, path: string): boolean {
  return withFile(tree, path, (fd) => fstatSync(fd).isDirectory()) ?? false;
}

function readSmall(tree: Tree, path: string): string | undefined {
  return withFile(tree, path, (fd) => {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return undefined;
    if (stat.size > LARGEST_METADATA) throw refused(`the ${path} of the image is larger than 1 MiB`);
    return readFileSync(fd, "utf8");
  });
}

/** Undefined when it is not there; a symbolic link is none of ours. */
function withFile<T>(tree: Tree, path: string, work: (fd: number) => T): T | undefined {
  if (!has(tree, path)) return undefined;
  const fd = openat2(tree.fd, path, constants.O_RDONLY | constants.O_NONBLOCK, "noSymlinks");
  if (fd === undefined) return undefined;
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
