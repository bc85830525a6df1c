/** A file as a source of members: a private copy, verified, then read as what its content says it is. */
import { resolve } from "node:path";
import type { Progress } from "../../base/progress.ts";
import type { Member } from "../archive/member.ts";
import { readTar } from "../archive/tar-reader.ts";
import type { UnpackLimits } from "../archive/unpack-policy.ts";
import type { Staging } from "../staging.ts";
import type { TemplateOrigin } from "../templates.ts";
import { type ImageMetadata, metadataOf, parseImageMetadata } from "./incus.ts";
import { type Packing, packingOf } from "./packing.ts";
import type { ImportRequest } from "./request.ts";
import { type Spool, spool } from "./spool.ts";
import { unpackedStream } from "./unpacked-stream.ts";
import { checkSha256, checkSignature } from "./verify.ts";

/** An opened source of an import. */
export type Opened = {
  readonly members: AsyncIterable<Member>;
  readonly origin: TemplateOrigin;
  /** Of an image in two files. */
  readonly metadata: ImageMetadata | undefined;
  readonly close: () => void;
};

/** The members of a file, of which nothing is unpacked before it has been verified. */
export async function fromArchive(
  request: ImportRequest,
  staging: Staging,
  limits: UnpackLimits,
  progress: Progress,
): Promise<Opened> {
  const { source } = request;
  const files: Spool[] = [];
  const open = async (path: string, after?: Bun.CryptoHasher) => {
    const file = await spool(path, staging, limits, progress, after);
    files.push(file);
    return file;
  };
  const close = (): void => {
    for (const file of files.splice(0)) file.close();
  };
  try {
    const about = request.metadata === undefined ? undefined : await open(request.metadata);
    const archive = await open(source, about?.hasher);
    if (request.sha256 !== undefined) checkSha256(source, archive, request.sha256);
    const { signature } = request;
    const signedBy =
      signature === undefined
        ? undefined
        : await checkSignature(source, archive, await open(signature.file), await open(signature.keyring));
    const packing = packingOf(archive.fd, source);
    const metadata = about === undefined ? undefined : await readMetadata(about, request, limits, progress);
    return {
      members: readTar(unpackedStream(archive, packing, limits, progress)),
      origin: {
        source: source === "-" ? source : resolve(source),
        format: describePacking(packing),
        sha256: archive.sha256,
        ...(signedBy === undefined ? {} : { signedBy }),
      },
      metadata,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function readMetadata(
  file: Spool,
  { metadata: source = "" }: ImportRequest,
  limits: UnpackLimits,
  progress: Progress,
): Promise<ImageMetadata | undefined> {
  const text = await metadataOf(readTar(unpackedStream(file, packingOf(file.fd, source), limits, progress)));
  // LXC's own images have one without metadata.yaml, which says nothing that is used here.
  if (text === undefined)
    progress.emit({ type: "note", text: `${source} has no metadata.yaml: nothing of it is used` });
  return text === undefined ? undefined : parseImageMetadata(text);
}

function describePacking({ kind, compression }: Packing): string {
  return compression === undefined ? kind : `${kind} (${compression})`;
}
