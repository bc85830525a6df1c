/** What must be right before anything is unpacked: the checksum, and the signature of somebody in a keyring. */
import { readFileSync } from "node:fs";
import { BerthError } from "../../base/errors.ts";
import { confined, confinedEnv } from "./confined.ts";
import type { Spool } from "./spool.ts";

/** `combined` is the checksum of metadata and root file system together, which is an Incus image's fingerprint. */
export function checkSha256(
  source: string,
  { sha256, combined }: { readonly sha256: string; readonly combined: string | undefined },
  wanted: string,
): void {
  if (sha256 === wanted || combined === wanted) return;
  throw new BerthError(
    "archive.unverified",
    `${source} is not the file that was asked for: its sha256 is ${sha256}, not ${wanted}`,
    "fetch it again; if the publisher's checksum still differs, do not use it",
  );
}

/** Checks a detached OpenPGP signature; gives the fingerprint of the key that made it. */
export async function checkSignature(
  source: string,
  data: Spool,
  signature: Spool,
  keyring: Spool,
): Promise<string> {
  // gpgv opens all three by name: as nobody it reaches only what it was given.
  const command = confined("gpgv", [
    ...["--status-fd", "1", "--keyring", "/proc/self/fd/3", "--", "/proc/self/fd/4", "/proc/self/fd/0"],
  ]);
  const child = Bun.spawn(command, {
    stdio: [data.fd, "pipe", "pipe", keyring.fd, signature.fd],
    env: confinedEnv,
  });
  const [status, words, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const [, signer] = /^\[GNUPG:\] VALIDSIG ([0-9A-F]{40,64}) /m.exec(status) ?? [];
  if (code === 0 && signer !== undefined) return signer;
  throw new BerthError(
    "archive.unverified",
    `the signature of ${source} does not hold: ${lastLine(words) || `gpgv ended with ${code}`}`,
    isArmored(keyring)
      ? "the keyring is in ASCII armor, which gpgv does not read: gpg --dearmor makes a binary one"
      : "nothing was unpacked; fetch archive and signature again, and see that the keyring has the publisher's key",
  );
}

function isArmored({ fd, size }: Spool): boolean {
  return size < 1 << 20 && readFileSync(`/proc/self/fd/${fd}`, "latin1").startsWith("-----BEGIN");
}

function lastLine(words: string): string {
  return (words.trim().split("\n").at(-1) ?? "").replace(/[^\x20-\x7e]/g, "?");
}
