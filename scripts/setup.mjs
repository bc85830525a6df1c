/**
 * npm run setup: what building, testing and running berth need. Changes nothing when nothing is missing, so every
 * other script begins with it.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setupCriu } from "./criu.mjs";
import { installedPackages, installPackages } from "./packages.mjs";
import { fail, findBun, must, root, run, say } from "./project.mjs";

const packages = [
  // to build
  "gcc",
  "make",
  "libc6-dev",
  "libseccomp-dev",
  "pkg-config",
  // to run guests
  "btrfs-progs",
  "e2fsprogs",
  "iproute2",
  "nftables",
  "util-linux",
  // to build templates
  "busybox-static",
  "ca-certificates",
  "debian-archive-keyring",
  "mmdebstrap",
  // to import them
  "bzip2",
  "gpgv",
  "squashfs-tools-ng",
  "xz-utils",
  "zstd",
];

setupPackages();
setupModules();
setupBun();
setupCriu();

function setupPackages() {
  const installed = installedPackages();
  const missing = packages.filter((name) => !installed.has(name));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0)
    fail(`these Debian packages are missing: ${missing.join(" ")}`, "run it as root, or install them");
  installPackages(missing);
}

/** npm keeps in node_modules what it installed; equal versions mean there is nothing to do. */
function setupModules() {
  const wanted = lockedVersions(join(root, "package-lock.json"));
  const present = lockedVersions(join(root, "node_modules/.package-lock.json"));
  const stale = [...wanted].filter(
    ([path, { version, optional }]) => !optional && present.get(path)?.version !== version,
  );
  if (stale.length === 0) return;
  say(`installing node modules (${stale.length} missing or of another version)`);
  must("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"]);
}

function lockedVersions(path) {
  if (!existsSync(path)) return new Map();
  const { packages: locked } = JSON.parse(readFileSync(path, "utf8"));
  return new Map(Object.entries(locked).filter(([where]) => where !== ""));
}

/** Where npm runs no install scripts, bun's own has to be run for node_modules/.bin/bun to be the program. */
function setupBun() {
  const script = join(root, "node_modules/bun/install.js");
  const stub = join(root, "node_modules/bun/bin/bun.exe");
  if (existsSync(stub) && statSync(stub).size < 1_000_000) {
    say("setting up bun (npm did not run its install script)");
    run("node", [script]);
  }
  if (findBun() === undefined) fail("the bun package came without its program for this machine");
}
