/**
 * Traps laid for the host: a guest's disk that holds symbolic links where berth writes, mounts or runs something when it starts
 * the guest. Each leads to a place of the canary's on the host. The control is what a host that follows links would find.
 */
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import type { Progress } from "../base/progress.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { noLimits } from "../resources/limits.ts";
import { canaryDir, type Laboratory, startGuest, stopGuest } from "./guest.ts";
import type { Finding } from "./verdict.ts";

type Trap = {
  readonly id: string;
  /** Where the link lies in the guest. */
  readonly link: string;
  readonly target: "file" | "directory" | "program";
  readonly what: string;
  readonly cve: string;
};

const trap = (id: string, link: string, target: Trap["target"], what: string, cve = ""): Trap => ({
  id,
  link,
  target,
  what,
  cve,
});

/** Every trap. */
export const traps: readonly Trap[] = [
  trap(
    "trap-dev",
    "/dev",
    "directory",
    "have the host make its nodes behind a link at /dev",
    "CVE-2021-30465",
  ),
  trap("trap-proc", "/proc", "directory", "have proc mounted behind a link", "CVE-2019-19921"),
  trap("trap-sys", "/sys", "directory", "have sysfs mounted behind a link", "CVE-2023-27561"),
  trap("trap-run", "/run", "directory", "have a tmpfs mounted behind a link at /run", "CVE-2015-1335"),
  trap(
    "trap-shm",
    "/dev/shm",
    "directory",
    "have a tmpfs mounted behind a link at /dev/shm",
    "CVE-2015-1335",
  ),
  trap("trap-pts", "/dev/pts", "directory", "have devpts mounted behind a link", "CVE-2025-52565"),
  trap(
    "trap-console-dir",
    "/dev/berth",
    "directory",
    "have the console bound behind a link",
    "CVE-2025-52565",
  ),
  trap(
    "trap-console",
    "/dev/console",
    "file",
    "have the host write to its own file as the console",
    "CVE-2025-52565",
  ),
  trap(
    "trap-null",
    "/dev/null",
    "file",
    "have another file than /dev/null cover the masked paths",
    "CVE-2025-31133",
  ),
  trap(
    "trap-etc",
    "/etc",
    "directory",
    "have the host write its files behind a link at /etc",
    "CVE-2024-45310",
  ),
  trap("trap-hosts", "/etc/hosts", "file", "have the host write behind a link at /etc/hosts"),
  trap(
    "trap-resolv-conf",
    "/etc/resolv.conf",
    "file",
    "have the host write behind a link at /etc/resolv.conf",
  ),
  trap("trap-machine-id", "/etc/machine-id", "file", "have the host write behind a link at /etc/machine-id"),
  trap("trap-init", "/sbin/init", "program", "have the host run its own program as the guest's init"),
];

/** The traps' ids. */
export const trapIds: readonly string[] = traps.map(({ id }) => id);

/** Where a trap works. */
export const trapControl = "followed on the host, the link leads to the canary's";

/** Starts a guest for each trap, and looks at what the link leads to, before and after. */
export async function springTraps(
  laboratory: Laboratory,
  only: readonly string[],
  progress: Progress,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const one of traps.filter(({ id }) => only.length === 0 || only.includes(id))) {
    progress.signal.throwIfAborted();
    progress.emit({ type: "step", label: `laying a trap at ${one.link}` });
    findings.push(await spring(laboratory, one));
  }
  return findings;
}

async function spring(laboratory: Laboratory, { id, link, target, what, cve }: Trap): Promise<Finding> {
  const bait = `${canaryDir()}/${id}`;
  layBait(bait, target);
  const before = fingerprint(bait);
  let real = false;
  const lay = (upper: string, own: (path: string) => void): void => {
    const parent = dirname(link);
    if (parent !== "/") {
      mkdirSync(`${upper}${parent}`, { mode: 0o755 });
      own(`${upper}${parent}`);
    }
    symlinkSync(bait, `${upper}${link}`);
    own(`${upper}${link}`);
    real = statSync(`${upper}${link}`).ino === statSync(bait).ino;
  };
  const { sprung, detail } = await startInto(laboratory, bait, lay);
  const changed = sprung || fingerprint(bait) !== before;
  return {
    id,
    what,
    cve,
    control: trapControl,
    where: "host",
    root: changed ? "through" : real ? "blocked" : "lost",
    user: undefined,
    answer: { errno: 0, detail },
    layers: changed ? [] : ["path resolution"],
  };
}

/** Whether init came to be the host's program, and how the start went. */
async function startInto(
  laboratory: Laboratory,
  bait: string,
  lay: (upper: string, own: (path: string) => void) => void,
): Promise<{ readonly sprung: boolean; readonly detail: string }> {
  try {
    const { init } = await startGuest(laboratory, { limits: noLimits, lay });
    return {
      sprung: readlinkSync(`/proc/${init}/exe`) === bait,
      detail: "the link was replaced or left alone",
    };
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== "container.start-failed") throw error;
    return { sprung: false, detail: "the start was refused" };
  } finally {
    await stopGuest(laboratory);
  }
}

function layBait(bait: string, target: Trap["target"]): void {
  rmSync(bait, { recursive: true, force: true });
  if (target === "directory") {
    makeDirs(bait);
    writeFileSync(`${bait}/file`, "the host's\n");
  } else if (target === "program") {
    copyFileSync(binaryPath("berth-audit"), bait);
    chmodSync(bait, 0o755);
  } else {
    writeFileSync(bait, "the host's\n");
  }
}

/** All of it that writing, mounting or chowning would change. */
function fingerprint(path: string): string {
  const { mode, uid, gid, size, mtimeMs, ctimeMs } = lstatSync(path);
  const own = [path, mode, uid, gid, size, mtimeMs, ctimeMs].join(" ");
  if (!statSync(path).isDirectory()) return `${own} ${readFileSync(path, "latin1")}`;
  return [
    own,
    ...readdirSync(path)
      .sort()
      .map((entry) => fingerprint(`${path}/${entry}`)),
  ].join("\n");
}
