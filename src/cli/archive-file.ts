/** How a file that a command writes is compressed. */
import { BerthError } from "../base/errors.ts";
import { type Compression, compressionOf } from "../storage/archive/compress.ts";
import { visible } from "./framework/escape.ts";

/** As chosen, or as the file's ending says; what goes to stdout is not. Throws usage.bad-argument when nothing says it. */
export function compressionFor(file: string, chosen: Compression | undefined): Compression {
  const compression = chosen ?? compressionOf(file) ?? (file === "-" ? "none" : undefined);
  if (compression !== undefined) return compression;
  throw new BerthError(
    "usage.bad-argument",
    `${visible(file)} does not say how it is to be compressed`,
    "end it with .tar.zst, .tar.gz, .tar.xz or .tar, or say --compress",
  );
}
