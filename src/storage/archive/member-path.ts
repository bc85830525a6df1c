/** Where in a tree a member of an archive belongs: its name in parts, with nothing in it that leads out. */
import { quoteName, refused } from "./damaged.ts";

const SLASH = 0x2f;
/** Deeper trees are refused: each level holds a file descriptor while it is filled. */
export const DEEPEST = 256;
/** Longer paths could not be opened by name later (PATH_MAX is 4096, and the tree lies below a path of its own). */
export const LONGEST = 3500;

/**
 * The parts of a member's name; none for the root itself. A leading "/" and "." parts are left out; ".." is refused,
 * and so is what is too deep or too long.
 */
export function memberPath(name: Buffer, of: Buffer = name): readonly Buffer[] {
  const parts = split(name).filter((part) => part.length > 0 && !part.equals(DOT));
  const fault = parts.some((part) => part.equals(DOT_DOT))
    ? 'its path has a ".."'
    : parts.some((part) => part.length > 255)
      ? "a name in its path is longer than 255 bytes"
      : parts.length > DEEPEST || name.length > LONGEST
        ? `its path is deeper than ${DEEPEST} levels or longer than ${LONGEST} bytes`
        : undefined;
  if (fault !== undefined) throw refused(`member ${quoteName(of)} is refused: ${fault}`);
  return parts;
}

const DOT = Buffer.from(".");
const DOT_DOT = Buffer.from("..");

function split(name: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let end = name.indexOf(SLASH); end >= 0; end = name.indexOf(SLASH, start)) {
    parts.push(name.subarray(start, end));
    start = end + 1;
  }
  parts.push(name.subarray(start));
  return parts;
}

/** The parts as one text, equal for equal paths, no byte lost. */
export function pathKey(parts: readonly Buffer[]): string {
  return parts.map((part) => part.toString("latin1")).join("/");
}
