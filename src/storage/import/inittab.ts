/** /etc/inittab of sysvinit and busybox: "id:runlevels:action:process" (inittab(5)), in a guest without ttys. */
import { has, readText, type Tree, writeFile } from "../tree.ts";

const line = /^([^#:\n]*):([^:\n]*):([^:\n]*):(.*)$/;

/** The command of a login on the console, by the getty that the tree has. */
export function consoleGetty(tree: Tree): string | undefined {
  const commands = [
    ["mingetty", "/sbin/mingetty console"],
    ["agetty", "/sbin/agetty -8 38400 console linux"],
    ["getty", "/sbin/getty 38400 console"],
  ] as const;
  // Where /sbin is a link to usr/sbin, the file is there.
  return commands.find(([name]) => has(tree, `usr/sbin/${name}`) || hasInSbin(tree, name))?.[1];
}

function hasInSbin(tree: Tree, name: string): boolean {
  try {
    return has(tree, `sbin/${name}`);
  } catch {
    return false;
  }
}

/** Gettys on ttys go, one on the console comes, and SIGPWR, by which berth stops such a guest, halts it at once. */
export function polishInittab(tree: Tree): void {
  const text = readText(tree, "etc/inittab");
  if (text !== undefined) writeFile(tree, "etc/inittab", guestInittab(text, consoleGetty(tree)));
}

/** The text for a guest; done twice it is the same. */
export function guestInittab(text: string, getty: string | undefined): string {
  const kept = text
    .replace(/\n+$/, "")
    .split("\n")
    .filter((each) => !isForeign(each));
  // busybox's lines have no runlevels, and the id is the tty.
  const busybox =
    kept.some(
      (each) => /^[^#:]*:[^:]*:(sysinit|wait|respawn|shutdown):/.test(each) && /^[^:]*::/.test(each),
    ) && !kept.some((each) => /:initdefault:/.test(each));
  const console =
    getty === undefined ? [] : [busybox ? `console::respawn:${getty}` : `co:2345:respawn:${getty}`];
  const power = busybox ? [] : ["pf::powerwait:/sbin/shutdown -h now"];
  return `${[...kept, ...console, ...power].join("\n")}\n`;
}

function isForeign(each: string): boolean {
  const [, id = "", , action = "", process = ""] = line.exec(each) ?? [];
  if (/^power/.test(action)) return true;
  return /getty/.test(process) && (/\b(tty|hvc|ttyS|console)\w*/.test(process) || /^(tty|console)/.test(id));
}
