/** Putting images that were written elsewhere where a resume of this container finds them. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { cgroupHome } from "./cgroup-tree.ts";
import { moveCgroups } from "./images.ts";
import { imagesIn, readable } from "./record.ts";

/** The image that CRIU reads before all others, and where it waits while a pipe has its place (`expectImages`). */
export const firstImage = "inventory.img";
export const firstWaits = `${firstImage}.sent`;

/** An empty directory for images in the place of the container's checkpoint; gives its path. */
export function newImages(name: string): string {
  return makeImages(containerPaths(name).checkpoint);
}

/** The same for a checkpoint that lies elsewhere. */
export function makeImages(checkpoint: string): string {
  const images = imagesIn(checkpoint);
  rmSync(checkpoint, { recursive: true, force: true });
  mkdirSync(checkpoint, { mode: 0o700 });
  mkdirSync(images, { mode: 0o755 });
  return images;
}

/** Gives the images the paths of this container's cgroups, which were below `cgroup`. */
export function renameCgroups(images: string, cgroup: string, name: string): void {
  const paths = `${images}/cgroup.img`;
  writeAtomic(paths, moveCgroups(readFileSync(paths), cgroup, cgroupHome(name)), readable);
}
