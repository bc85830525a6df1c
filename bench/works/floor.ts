/** Directories for the floor. */
import { chownSync, mkdirSync } from "node:fs";
import type { Bench } from "../bench.ts";
import { LXC_BASE } from "../lxc.ts";

/** Arguments of floor.c, with fresh directories for it. */
export function floorArguments({ dir, lxc }: Bench, name: string): readonly string[] {
  const home = `${dir}/floor-${name}`;
  const parts = ["upper", "work", "mount"].map((part) => `${home}/${part}`);
  for (const part of parts) mkdirSync(part, { recursive: true });
  for (const part of [home, ...parts]) chownSync(part, LXC_BASE, LXC_BASE);
  return [lxc.rootfs("busybox"), ...parts, String(LXC_BASE)];
}
