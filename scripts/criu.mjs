/**
 * A newer CRIU than the distribution's, in a prefix of its own: Debian 12's and 13's fail on kernels from 6.16 on. The
 * packages of Debian unstable are unpacked, never installed, and the program runs with their own loader.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output, run, say } from "./project.mjs";

/** Where berth looks for it (src/checkpoint/program.ts). */
const prefix = "/usr/local/lib/berth/criu";

const tuple = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
const loader = process.arch === "arm64" ? "usr/lib/ld-linux-aarch64.so.1" : "usr/lib64/ld-linux-x86-64.so.2";

/** Brings it when it is not there. A machine that cannot have it does without, and is told so. */
export function setupCriu() {
  if (existsSync(`${prefix}/bin/criu`) || process.getuid?.() !== 0) return;
  say("fetching a newer CRIU from Debian unstable (into a directory of its own)");
  const dir = mkdtempSync(join(tmpdir(), "berth-criu-"));
  try {
    if (fetchPackages(dir) && unpack(dir)) return;
    say("  it cannot be had: checkpoints work where the distribution's own CRIU does");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Packages of criu and all that it needs, as on a machine that has none: apt looks at an empty status. */
function fetchPackages(dir) {
  for (const path of ["lists/partial", "cache/archives/partial"])
    mkdirSync(join(dir, path), { recursive: true });
  const key = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(join(dir, "sources.list"), `deb [signed-by=${key}] ${mirror()} unstable main\n`);
  writeFileSync(join(dir, "status"), "");
  const settings = {
    "Dir::Etc::SourceList": join(dir, "sources.list"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::State::Lists": join(dir, "lists"),
    "Dir::State::status": join(dir, "status"),
    "Dir::Cache": join(dir, "cache"),
    "Acquire::Languages": "none",
    // The suite never rests: its mirrors may be past the date on their file.
    "Acquire::Check-Valid-Until": "false",
    "APT::Sandbox::User": "root",
  };
  const conf = join(dir, "apt.conf");
  writeFileSync(
    conf,
    Object.entries(settings)
      .map(([key, value]) => `${key} "${value}";\n`)
      .join(""),
  );
  const options = { env: { ...process.env, APT_CONFIG: conf }, stdio: ["ignore", "ignore", "inherit"] };
  if (run("apt-get", ["update", "-qq"], options) !== 0) return false;
  const install = ["install", "-qq", "-y", "--download-only", "--no-install-recommends", "criu"];
  return run("apt-get", install, options) === 0;
}

/** The mirror of the machine's own Debian sources, if it has any. */
function mirror() {
  const targets = output("apt-get", ["indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]) ?? "";
  return /^Debian (\S+)$/m.exec(targets)?.[1] ?? "http://deb.debian.org/debian";
}

/** Whole or not at all: unpacked beside its place, then renamed. */
function unpack(dir) {
  const archives = join(dir, "cache/archives");
  const next = `${prefix}.new`;
  rmSync(next, { recursive: true, force: true });
  mkdirSync(`${next}/bin`, { recursive: true });
  for (const name of readdirSync(archives).filter((file) => file.endsWith(".deb")))
    if (run("dpkg-deb", ["-x", join(archives, name), next]) !== 0) return false;
  for (const useless of ["usr/share", "etc", "var"])
    rmSync(join(next, useless), { recursive: true, force: true });
  writeFileSync(`${next}/bin/criu`, script, { mode: 0o755 });
  rmSync(prefix, { recursive: true, force: true });
  renameSync(next, prefix);
  const version = output(`${prefix}/bin/criu`, ["--version"]);
  if (version === undefined) rmSync(prefix, { recursive: true, force: true });
  else say(`  ${version.split("\n")[0]}`);
  return version !== undefined;
}

const script = `#!/bin/sh
exec ${prefix}/${loader} --library-path ${prefix}/usr/lib/${tuple} --argv0 criu ${prefix}/usr/sbin/criu "$@"
`;
