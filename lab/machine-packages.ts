/** What this machine must have to build lab hosts; installed when missing. */
import { existsSync } from "node:fs";
import { command } from "./command.ts";
import { labError } from "./error.ts";
import { step } from "./progress.ts";

/** A file that shows that a package is there, and the package. */
const needs: readonly (readonly [file: string, packageName: string])[] = [
  ["/usr/bin/mmdebstrap", "mmdebstrap"],
  ["/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"],
  ["/usr/sbin/mke2fs", "e2fsprogs"],
  ["/usr/bin/zstd", "zstd"],
  ["/usr/bin/xz", "xz-utils"],
  ["/usr/bin/lz4", "lz4"],
  ["/usr/bin/gcc", "gcc"],
  ["/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev"],
  ["/usr/bin/ssh-keygen", "openssh-client"],
  ["/usr/bin/setpriv", "util-linux"],
];

/** Installs with apt-get what is missing. Takes no time when nothing is. */
export async function ensureMachinePackages(): Promise<void> {
  const missing = needs.filter(([file]) => !existsSync(file)).map(([, packageName]) => packageName);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) throw labError(`the lab needs these Debian packages: ${missing.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...missing];
  await step(`installing ${missing.join(" ")}`, async () => {
    await command(install, { env }).catch(async () => {
      await command(["apt-get", "update", "-qq"], { env });
      await command(install, { env });
    });
  });
}
