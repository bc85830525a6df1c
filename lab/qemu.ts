/**
 * QEMU 10: the machine's own when it is new enough, else unpacked into the cache from Debian packages (from
 * bookworm-backports on Debian 12) without being installed. Older versions do not restore saved hosts.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cached, digest } from "./cache.ts";
import { command, niced } from "./command.ts";
import { labError } from "./error.ts";
import { debianMirror } from "./mirror.ts";
import { step } from "./progress.ts";

export interface Qemu {
  readonly system: string;
  readonly img: string;
  /** The environment its libraries are found with. */
  readonly env: Readonly<Record<string, string>>;
  /** Where its firmware lies, as arguments. */
  readonly firmware: readonly string[];
  readonly version: string;
}

const oldestMajor = 10;

/** Finds or unpacks QEMU. */
export async function findQemu(): Promise<Qemu> {
  const installed = await probe("/usr/bin", {}, []);
  if (installed && Number.parseInt(installed.version, 10) >= oldestMajor) return installed;
  const suite = packageSuite();
  const key = digest("1", suite);
  const dir = await cached("qemu", key, (fresh) => unpack(fresh, suite));
  const unpacked = await probeUnpacked(dir);
  if (unpacked) return unpacked;
  rmSync(dir, { recursive: true }); // a library that the machine had when it was unpacked has gone since: once more
  const again = await probeUnpacked(await cached("qemu", key, (fresh) => unpack(fresh, suite)));
  if (!again) throw labError(`QEMU from ${suite} was unpacked into ${dir} but does not run`);
  return again;
}

function packageSuite(): string {
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  return codename === undefined || codename === "bookworm" ? "bookworm-backports" : codename;
}

function probeUnpacked(dir: string): Promise<Qemu | undefined> {
  const libraries = ["usr/lib", "lib"].map((lib) => join(dir, lib, "x86_64-linux-gnu"));
  const firmware = ["qemu", "seabios"].flatMap((name) => ["-L", join(dir, "usr/share", name)]);
  return probe(join(dir, "usr/bin"), { LD_LIBRARY_PATH: libraries.join(":") }, firmware);
}

async function probe(
  binDir: string,
  env: Qemu["env"],
  firmware: Qemu["firmware"],
): Promise<Qemu | undefined> {
  const system = join(binDir, "qemu-system-x86_64");
  const img = join(binDir, "qemu-img");
  if (!existsSync(system) || !existsSync(img)) return undefined;
  const text = await command([system, "--version"], { env }).catch(() => "");
  const version = /version (\S+)/.exec(text)?.[1];
  return version === undefined ? undefined : { system, img, env, firmware, version };
}

/** Downloads QEMU and what it needs beyond the machine's installed packages, with an apt of its own, and unpacks it. */
async function unpack(dir: string, suite: string): Promise<void> {
  await step(`unpacking QEMU from ${suite}`, async () => {
    const apt = join(dir, "apt");
    for (const sub of ["etc", "state/lists/partial", "cache/archives/partial"]) {
      mkdirSync(join(apt, sub), { recursive: true });
    }
    writeFileSync(join(apt, "etc/sources.list"), sources(suite));
    const get = ["apt-get", ...aptOptions(apt)];
    await command([...get, "update", "-qq"]);
    const install = ["install", "-y", "--no-install-recommends", "--download-only", "-t", suite];
    await command([...get, ...install, "qemu-system-x86", "qemu-utils"]);
    for (const deb of readdirSync(join(apt, "cache/archives"))) {
      if (deb.endsWith(".deb")) await command(niced(["dpkg", "-x", join(apt, "cache/archives", deb), dir]));
    }
    rmSync(apt, { recursive: true });
  });
}

function sources(suite: string): string {
  const base = suite.replace("-backports", "");
  const signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
  const line = (name: string): string => `deb ${signed} ${debianMirror()} ${name} main\n`;
  return base === suite ? line(base) : line(base) + line(suite);
}

function aptOptions(apt: string): readonly string[] {
  const settings = [
    `Dir::Etc=${apt}/etc`,
    "Dir::Etc::sourcelist=sources.list",
    "Dir::Etc::sourceparts=-",
    "Dir::Etc::parts=-",
    "Dir::Etc::preferences=-",
    "Dir::Etc::preferencesparts=-",
    `Dir::State=${apt}/state`,
    "Dir::State::status=/var/lib/dpkg/status",
    `Dir::Cache=${apt}/cache`,
    "Debug::NoLocking=1",
    "Acquire::Languages=none",
    "APT::Sandbox::User=root",
  ];
  return settings.flatMap((setting) => ["-o", setting]);
}
