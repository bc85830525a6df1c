/** Debian packages: what is installed, by dpkg's own status file (apt takes a second to say the same). */
import { readFileSync } from "node:fs";
import { must, run, say } from "./project.mjs";

/** Names of the installed packages. Empty on a host without dpkg. */
export function installedPackages(status = "/var/lib/dpkg/status") {
  let text;
  try {
    text = readFileSync(status, "utf8");
  } catch {
    return new Set();
  }
  const installed = new Set();
  for (const stanza of text.split("\n\n")) {
    const name = /^Package: (.+)$/m.exec(stanza)?.[1];
    if (name !== undefined && /^Status: \S+ ok installed$/m.test(stanza)) installed.add(name);
  }
  return installed;
}

/** Installs what is missing; asks apt for nothing when nothing is. */
export const installPackages = (names) => install(names, must);

/** The same for what can be done without: whether all of it is there now. */
export function tryInstallPackages(names) {
  if (process.getuid?.() === 0) install(names, run);
  const installed = installedPackages();
  return names.every((name) => installed.has(name));
}

function install(names, by) {
  const installed = installedPackages();
  const missing = names.filter((name) => !installed.has(name));
  if (missing.length === 0) return;
  say(`installing Debian packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  by("apt-get", ["update", "-qq"], { env });
  by("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
}
