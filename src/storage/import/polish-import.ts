/**
 * What a foreign tree needs to boot as a guest: its identity taken away, a login on the console instead of ttys that
 * are not there, no mounts of disks, no address of its own making. Data files, links and removals; nothing is run.
 * What an unknown system has otherwise is left as it is.
 */
import { BerthError } from "../../base/errors.ts";
import { initKindOf } from "../init-kind.ts";
import { polishConsole, polishJournal, polishPing, polishSshKeys, polishUnits } from "../polish.ts";
import { has, list, remove, type Tree, writeFile, writeLink } from "../tree.ts";
import { consoleGetty, polishInittab } from "./inittab.ts";

/** Services that would give the guest addresses of their own making, and take away the one it has. */
const networkUnits: readonly string[] = [
  "NetworkManager.service",
  "NetworkManager-wait-online.service",
  "dhcpcd.service",
  "systemd-networkd.service",
  "systemd-networkd.socket",
  "systemd-networkd-wait-online.service",
];

type Step = readonly [what: string, work: (tree: Tree) => void];

const always: readonly Step[] = [
  ["machine id", forgetMachineId],
  ["host name, hosts and resolv.conf", writeNames],
  ["fstab", writeFstab],
  ["ssh host keys", forgetSshKeys],
  ["network", polishNetwork],
];

const systemd: readonly Step[] = [
  ["units", polishUnits],
  ["console", polishConsole],
  ["journal", polishJournal],
  ["ping", polishPing],
  ["ssh host keys", polishSshKeys],
  ["network units", maskNetworkUnits],
];

const others: readonly Step[] = [
  ["inittab", polishInittab],
  ["upstart jobs", polishUpstart],
];

/**
 * Polishes the tree; gives what could not be done because the tree has a link or a file where a directory should be.
 */
export function polishImported(tree: Tree): readonly string[] {
  const steps = [...always, ...(initKindOf(tree) === "systemd" ? systemd : others)];
  return steps.flatMap(([what, work]) => {
    try {
      work(tree);
      return [];
    } catch (error) {
      if (error instanceof BerthError && error.code === "host.io") return [`${what} (${error.message})`];
      throw error;
    }
  });
}

function forgetMachineId(tree: Tree): void {
  if (has(tree, "etc/machine-id") || initKindOf(tree) === "systemd")
    writeFile(tree, "etc/machine-id", "", 0o444);
  for (const name of [
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
  ])
    remove(tree, name);
}

/** Each is written by berth at start; a link in its place would lead that astray. */
function writeNames(tree: Tree): void {
  writeFile(tree, "etc/hostname", "");
  writeFile(tree, "etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  writeFile(tree, "etc/resolv.conf", "");
}

function writeFstab(tree: Tree): void {
  writeFile(
    tree,
    "etc/fstab",
    "# The root file system is mounted by the host. Mounts of your own go here.\n",
  );
}

function forgetSshKeys(tree: Tree): void {
  for (const name of list(tree, "etc/ssh"))
    if (/^ssh_host_.*key(\.pub)?$/.test(name)) remove(tree, `etc/ssh/${name}`);
}

/** The host has set address and routes before init runs. */
function polishNetwork(tree: Tree): void {
  if (has(tree, "etc/network/interfaces"))
    writeFile(
      tree,
      "etc/network/interfaces",
      "# eth0 has its address from the host before init runs.\nauto lo\niface lo inet loopback\n",
    );
  const redhat = "etc/sysconfig/network-scripts";
  if (has(tree, "etc/sysconfig"))
    for (const name of list(tree, redhat)) if (/^ifcfg-(?!lo$)/.test(name)) remove(tree, `${redhat}/${name}`);
  if (has(tree, "etc/cloud"))
    writeFile(tree, "etc/cloud/cloud.cfg.d/99-berth.cfg", "network: {config: disabled}\n");
}

function maskNetworkUnits(tree: Tree): void {
  for (const unit of networkUnits) writeLink(tree, `etc/systemd/system/${unit}`, "/dev/null");
}

/** CentOS 6, Ubuntu up to 14.10: a login on the console, and SIGPWR means to halt. */
function polishUpstart(tree: Tree): void {
  if (!has(tree, "etc/init") || !list(tree, "etc/init").some((name) => /^rc(-sysinit)?\.conf$/.test(name)))
    return;
  for (const name of list(tree, "etc/init"))
    if (/^(tty\d+|start-ttys|prefdm|serial)\.conf$/.test(name)) remove(tree, `etc/init/${name}`);
  const getty = consoleGetty(tree);
  if (getty !== undefined)
    writeFile(
      tree,
      "etc/init/console.conf",
      `start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec ${getty}\n`,
    );
  writeFile(
    tree,
    "etc/init/power-status-changed.conf",
    "start on power-status-changed\nexec /sbin/shutdown -h now\n",
  );
}
