/** What is asked of an import. */
import type { ImportFormat } from "./layout.ts";

export type ImportRequest = {
  readonly name: string;
  /** A file, a directory, or "-" for stdin. */
  readonly source: string;
  readonly format?: ImportFormat | undefined;
  /** 64 hex digits that the file, or an Incus image's two files together, must have. */
  readonly sha256?: string | undefined;
  /** A detached OpenPGP signature of the file, and the keys that are trusted. */
  readonly signature?: { readonly file: string; readonly keyring: string } | undefined;
  /** The metadata of an Incus image in two files. */
  readonly metadata?: string | undefined;
  /** What the image is for, where neither it nor its programs say. */
  readonly arch?: string | undefined;
  /** The id that root has in it. */
  readonly uidBase?: number | undefined;
  readonly maxSize?: number | undefined;
  readonly maxEntries?: number | undefined;
  readonly polish?: boolean | undefined;
  /** Whether a name that exists may move on to the new template; the old one stays for its containers. */
  readonly replace?: boolean | undefined;
};
