/**
 * npm run install:host [-- --prefix DIR] [--uninstall]: berth, its programs, manual pages and completion where a
 * system looks for them. DIR is /usr/local unless told. Containers and settings are never touched.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { bun, dist, fail, must, root, say } from "./project.mjs";

const words = process.argv.slice(2);
/** What lies in libexec: nobody calls it by hand. */
const programs = [
  "berth-cli",
  "berth-launch",
  "berth-seccomp",
  "berth-tree",
  "berth-audit",
  "berth-criu.so",
  "criu-tools/tar",
];
const prefixAt = words.indexOf("--prefix");
const prefix = resolve(
  prefixAt < 0 ? "/usr/local" : (words[prefixAt + 1] ?? fail("--prefix needs a directory")),
);
const man = (chapter) => join(prefix, `share/man/man${chapter}`);
const completions = {
  "berth.bash": join(prefix, "share/bash-completion/completions/berth"),
  "berth.zsh": join(prefix, "share/zsh/site-functions/_berth"),
  "berth.fish": join(prefix, "share/fish/vendor_completions.d/berth.fish"),
};

/** Where systemd looks for units of programs that the system did not bring; only the usual prefix has such a place. */
const units =
  prefix === "/usr/local" && existsSync("/run/systemd/system") ? "/etc/systemd/system" : undefined;
const timer = "berth-snapshot.timer";

if (words.includes("--uninstall")) uninstall();
else install();

function install() {
  must("node", [join(root, "scripts/setup.mjs")]);
  must("node", [join(root, "scripts/build.mjs")]);
  const generated = join(dist, "generated");
  rmSync(generated, { recursive: true, force: true });
  const script = join(root, "scripts/gen-docs.ts");
  must(bun(), [script, "--man", join(generated, "man"), "--completion", join(generated, "completion")]);

  place(join(dist, "berth"), join(prefix, "bin/berth"), 0o755);
  for (const name of programs) place(join(dist, name), join(prefix, "libexec/berth", name), 0o755);
  removePages();
  for (const page of readdirSync(join(generated, "man")))
    place(join(generated, "man", page), join(man(page.at(-1)), page), 0o644);
  for (const [name, target] of Object.entries(completions))
    place(join(generated, "completion", name), target, 0o644);
  installTimer();
  say(`installed ${join(prefix, "bin/berth")}`);
}

/** `berth snapshot run` every ten minutes: it does nothing where no container asks for it. */
function installTimer() {
  if (units === undefined) {
    say(
      "no systemd timer set up: run `berth snapshot run` by cron where containers have snapshots.every set",
    );
    return;
  }
  for (const unit of [timer, "berth-snapshot.service"])
    place(join(root, "scripts/units", unit), join(units, unit), 0o644);
  must("systemctl", ["daemon-reload"]);
  must("systemctl", ["enable", "--now", timer]);
}

function removeTimer() {
  if (units === undefined || !existsSync(join(units, timer))) return;
  must("systemctl", ["disable", "--now", timer]);
  for (const unit of [timer, "berth-snapshot.service"]) rmSync(join(units, unit), { force: true });
  must("systemctl", ["daemon-reload"]);
}

/** By rename: a program that is running keeps its file. */
function place(source, target, mode) {
  try {
    // The guest's root, nobody on the host, runs what lies there.
    const made = mkdirSync(dirname(target), { recursive: true });
    for (let dir = dirname(target); made !== undefined && dir.startsWith(made); dir = dirname(dir))
      chmodSync(dir, 0o755);
    copyFileSync(source, `${target}.new`);
    chmodSync(`${target}.new`, mode);
    renameSync(`${target}.new`, target);
  } catch (error) {
    fail(`${target}: ${error.message}`, "run it as root, or give a directory of yours by --prefix");
  }
}

function uninstall() {
  removeTimer();
  for (const path of [join(prefix, "bin/berth"), ...Object.values(completions)])
    rmSync(path, { force: true });
  const libexec = join(prefix, "libexec/berth");
  for (const name of programs) rmSync(join(libexec, name), { force: true });
  for (const dir of [join(libexec, "criu-tools"), libexec])
    if (existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir);
  removePages();
  say(`removed berth from ${prefix}; containers and settings are left as they are`);
}

function removePages() {
  for (const chapter of [1, 5]) {
    if (!existsSync(man(chapter))) continue;
    for (const page of readdirSync(man(chapter)))
      if (/^berth(-[\w-]+)?\.[15]$/.test(page)) rmSync(join(man(chapter), page));
  }
}
