/** Which init a tree has, and the signal by which it halts. */
import { basename } from "node:path";
import { readText, realPath, type Tree } from "./tree.ts";

export type InitKind = "systemd" | "busybox" | "openrc" | "sysvinit" | "other";

/**
 * systemd: SIGRTMIN+3 (systemd(1)). SIGPWR for sysvinit (its powerfail lines) and openrc-init, as LXC sends it.
 * busybox init: SIGUSR2 is poweroff (init/init.c). Others: SIGTERM.
 */
export const haltSignals: Readonly<Record<InitKind, number>> = {
  systemd: 37,
  busybox: 12,
  openrc: 30,
  sysvinit: 30,
  other: 15,
};

/** Looks at /sbin/init, links followed inside the tree only. */
export function initKindOf(tree: Tree): InitKind {
  const path = realPath(tree, "sbin/init");
  if (path === undefined) return "other";
  const name = basename(path);
  if (name === "systemd") return "systemd";
  if (name.startsWith("busybox")) return "busybox";
  if (name === "openrc-init") return "openrc";
  return readText(tree, "etc/inittab") === undefined ? "other" : "sysvinit";
}
