/**
 * npm run quickstart: from a fresh clone to a running Debian guest. What is done already is left as it is, so that
 * running it again takes seconds. BERTH_ROOT=DIR keeps everything under DIR.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { dist, fail, must, output, root, run, say } from "./project.mjs";

const berth = join(dist, "berth");
const template = "debian-13";
const demo = "demo";
const bootMilliseconds = 120_000;
const limits = ["--memory", "512M", "--cpus", "1", "--pids", "500", "--disk", "4G"];

if (process.getuid?.() !== 0)
  fail("berth makes namespaces, mounts and links", "run it as root: sudo npm run quickstart");
must("node", [join(root, "scripts/setup.mjs")]);
must("node", [join(root, "scripts/build.mjs")]);

if (output(berth, ["template", "info", template, "--json"], { stdio: "pipe" }) === undefined) {
  say(`building the template ${template}: a minute or two, once`);
  must(berth, ["template", "build", template]);
}
if (state() === undefined) {
  say(`creating ${demo}`);
  must(berth, ["create", demo, "--template", template, ...limits]);
}
if (state() === "frozen") must(berth, ["thaw", demo]);
if (state() !== "running") {
  say(`starting ${demo}`);
  must(berth, ["start", demo]);
}
waitForSystemd();

show(["ls"]);
show(["exec", demo, "--", "cat", "/etc/os-release"]);
show(["exec", demo, "--", "systemctl", "--no-pager", "list-units", "--type=service", "--state=running"]);
show(["info", demo]);

const program = berth.startsWith(`${process.cwd()}/`) ? `./${berth.slice(process.cwd().length + 1)}` : berth;
const own = process.env.BERTH_ROOT ?? "";
const shown = own === "" ? program : `BERTH_ROOT=${own} ${program}`;
console.log(`
${demo} keeps running. Go on with:
  ${shown} enter ${demo}       a shell in it
  ${shown} console ${demo}     its console
  ${shown} set ${demo} --memory 1G
  ${shown} stop ${demo}
  ${shown} rm ${demo}
  ${shown} --help
  npm run install:host         berth in /usr/local/bin, with manual pages and completion`);

/** "running", "stopped", ...; undefined when there is no such container. */
function state() {
  const text = output(berth, ["info", demo, "--json"], { stdio: "pipe" });
  return text === undefined ? undefined : JSON.parse(text).state;
}

/** Waits until the guest's own systemd calls the boot done. */
function waitForSystemd() {
  const begun = Date.now();
  say(`waiting for ${demo}'s systemd`);
  let said = "";
  while (Date.now() - begun < bootMilliseconds) {
    // Exit code 1 is systemd's for any state but running; its word is on stdout all the same.
    const words = ["exec", demo, "--", "systemctl", "is-system-running"];
    const { stdout, stderr } = spawnSync(berth, words, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    said = stdout.trim();
    if (said === "running") {
      say(`${demo} is running after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
      return;
    }
    if (said === "degraded") {
      run(berth, ["exec", demo, "--", "systemctl", "--no-pager", "--failed"]);
      fail(`${demo} booted, but a unit failed`, `see: ${berth} log ${demo}`);
    }
    said ||= stderr.trim();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  fail(`${demo} did not finish booting; asked for its state, it says: ${said}`, `see: ${berth} log ${demo}`);
}

function show(words) {
  console.log(`\n$ berth ${words.join(" ")}`);
  must(berth, words);
}
