/** Importing a template: copied privately, verified, unpacked under rules, looked at, made a guest, published. */
import { mkdirSync, realpathSync, renameSync, rmdirSync, statSync } from "node:fs";
import { asBerthError, BerthError } from "../../base/errors.ts";
import { templatesDir } from "../../base/paths.ts";
import { type Progress, silent } from "../../base/progress.ts";
import { type Member, readTar } from "../archive/tar-reader.ts";
import { type Unpacked, unpack } from "../archive/unpack.ts";
import { templatePolicy, type UnpackLimits } from "../archive/unpack-policy.ts";
import { publishTree, type TreeFacts } from "../build.ts";
import { openStaging, type Staging, sweepBuilds } from "../staging.ts";
import { checkTemplateName, type Template, type TemplateOrigin, templateNames } from "../templates.ts";
import { withTree } from "../tree.ts";
import { directoryMembers } from "./directory.ts";
import { architectureOf, releaseOf } from "./facts.ts";
import { type ImageMetadata, metadataOf, parseImageMetadata } from "./incus.ts";
import { findLayout, type ImportFormat, type Layout } from "./layout.ts";
import { importLimits } from "./limits.ts";
import { type Packing, packingOf } from "./packing.ts";
import { polishImported } from "./polish-import.ts";
import { type Spool, spool } from "./spool.ts";
import { unpackedStream } from "./unpacked-stream.ts";
import { checkSha256, checkSignature } from "./verify.ts";

export type ImportRequest = {
  readonly name: string;
  /** A file, a directory, or "-" for stdin. */
  readonly source: string;
  readonly format?: ImportFormat;
  /** 64 hex digits that the file, or an Incus image's two files together, must have. */
  readonly sha256?: string;
  /** A detached OpenPGP signature of the file, and the keys that are trusted. */
  readonly signature?: { readonly file: string; readonly keyring: string };
  /** The metadata of an Incus image in two files. */
  readonly metadata?: string;
  /** What the image is for, where neither it nor its programs say. */
  readonly arch?: string;
  /** The id that root has in it. */
  readonly uidBase?: number;
  readonly maxSize?: number;
  readonly maxEntries?: number;
  readonly polish?: boolean;
  /** Whether a name that exists may move on to the new template; the old one stays for its containers. */
  readonly replace?: boolean;
};

/** Imports a template and gives it its name. A failure or an abort leaves nothing behind. */
export async function importTemplate(request: ImportRequest, progress: Progress = silent): Promise<Template> {
  checkRequest(request);
  await sweepBuilds();
  const staging = openStaging();
  try {
    const facts = await fill(request, staging, progress);
    return await publishTree(staging, facts, progress);
  } catch (error) {
    if (progress.signal.aborted)
      throw new BerthError("template.build-failed", `importing ${request.name} was interrupted`, "", error);
    throw asBerthError(error);
  } finally {
    await staging.discard();
  }
}

function checkRequest({ name, source, replace, sha256, signature, metadata, format }: ImportRequest): void {
  checkTemplateName(name);
  if (templateNames().has(name) && replace !== true)
    throw new BerthError(
      "template.exists",
      `the template ${name} exists already`,
      "--replace lets the name move on to the new one (containers keep the one they have)",
    );
  const directory = isDirectory(source);
  if (format !== undefined && format !== "auto" && directory !== (format === "directory"))
    throw new BerthError("usage.bad-argument", `${source} is ${directory ? "a directory" : "no directory"}`);
  if (directory && (sha256 ?? signature ?? metadata) !== undefined)
    throw new BerthError(
      "usage.bad-argument",
      `${source} is a directory: checksum, signature and metadata are those of an archive`,
    );
  if (directory && `${templatesDir()}/`.startsWith(`${realpathSync(source).replace(/\/$/, "")}/`))
    throw new BerthError("usage.bad-argument", `${source} holds berth's own templates and cannot become one`);
}

function isDirectory(source: string): boolean {
  return source !== "-" && (statSync(source, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/** Fills staging.rootfs; gives what is known of it. */
async function fill(request: ImportRequest, staging: Staging, progress: Progress): Promise<TreeFacts> {
  const limits = importLimits(staging.dir, request.maxSize, request.maxEntries);
  const unpacked = `${staging.dir}/unpacked`;
  mkdirSync(unpacked, { mode: 0o755 });
  const policy = templatePolicy(request.uidBase);
  const { members, origin, metadata, close } = isDirectory(request.source)
    ? fromDirectory(request, progress)
    : await fromArchive(request, staging, limits, progress);
  try {
    progress.emit({ type: "step", label: origin.format === "directory" ? "copying it" : "unpacking it" });
    tellLeftOut(await unpack(members, unpacked, policy, limits), progress);
  } finally {
    close();
  }
  const layout = withTree(unpacked, (tree) => findLayout(tree, request.format ?? "auto"));
  moveRoot(unpacked, layout, staging);
  return describe(request, origin, layout.metadata ?? metadata, staging, progress);
}

type Opened = {
  readonly members: AsyncIterable<Member>;
  readonly origin: TemplateOrigin;
  /** Of an image in two files. */
  readonly metadata: ImageMetadata | undefined;
  readonly close: () => void;
};

function fromDirectory({ source }: ImportRequest, progress: Progress): Opened {
  return {
    members: directoryMembers(source, progress),
    origin: { source: realpathSync(source), format: "directory" },
    metadata: undefined,
    close: () => {},
  };
}

/** The members of a file, of which nothing is unpacked before it has been verified. */
async function fromArchive(
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
        source: source === "-" ? source : realpathSync(source),
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

function tellLeftOut({ nodes, copies, attributes }: Unpacked, { emit }: Progress): void {
  if (nodes > 0)
    emit({
      type: "note",
      text: `${nodes} devices, fifos and sockets left out: a guest's are made at its start`,
    });
  if (copies > 0) emit({ type: "note", text: `${copies} hard links became copies` });
  if (attributes > 0)
    emit({ type: "note", text: `${attributes} extended attributes left out that mean nothing in a guest` });
}

/** What is not the root file system (an image's metadata and templates) stays behind and goes with the staging directory. */
function moveRoot(unpacked: string, { root }: Layout, staging: Staging): void {
  rmdirSync(staging.rootfs);
  renameSync(root === "." ? unpacked : `${unpacked}/${root}`, staging.rootfs);
}

function describe(
  request: ImportRequest,
  origin: TemplateOrigin,
  metadata: ImageMetadata | undefined,
  { rootfs }: Staging,
  progress: Progress,
): TreeFacts {
  return withTree(rootfs, (tree) => {
    const arch = architectureOf(tree, request.arch ?? metadata?.architecture);
    const release = releaseOf(tree);
    if (request.polish !== false) {
      progress.emit({ type: "step", label: "making it a guest" });
      for (const what of polishImported(tree))
        progress.emit({ type: "warning", text: `left as it is: ${what}` });
    }
    return {
      name: request.name,
      ...release,
      arch,
      include: [],
      mirror: "",
      origin: {
        ...origin,
        ...(metadata === undefined ? {} : { format: `${origin.format}, Incus image` }),
        ...(metadata?.description === undefined ? {} : { description: metadata.description }),
        ...(metadata?.created === undefined ? {} : { created: metadata.created }),
      },
    };
  });
}
