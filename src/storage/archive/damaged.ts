/** How errors about an archive are said. Names in them are the archive's own bytes, made harmless. */
import { BerthError } from "../../base/errors.ts";

/** Longest part of a name that a message quotes. */
const QUOTED = 200;

/** A name for a message: quoted, control and non-ASCII bytes escaped, at most 200 bytes of it. */
export function quoteName(name: Uint8Array): string {
  const text = Buffer.from(name.subarray(0, QUOTED)).toString("latin1");
  const safe = text.replace(
    /[^\x20-\x7e]|["\\]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `"${safe}${name.length > QUOTED ? "..." : ""}"`;
}

/** The archive is not what its format says: at which byte (of the uncompressed archive) and in which member. */
export function damaged(what: string, offset: number, name?: Uint8Array): BerthError {
  const member = name === undefined || name.length === 0 ? "" : `, member ${quoteName(name)}`;
  return new BerthError(
    "archive.damaged",
    `the archive is damaged at byte ${offset}${member}: ${what}`,
    "fetch it again, and compare its checksum with the publisher's",
  );
}

/** The archive is whole, and berth does not unpack it. */
export function refused(what: string, hint = ""): BerthError {
  return new BerthError("archive.refused", what, hint);
}
