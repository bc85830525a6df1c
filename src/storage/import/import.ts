/** Importing a template: copied privately, verified, unpacked under rules, looked at, made a guest, published. */
import { mkdirSync, realpathSync, renameSync, rmdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { asBerthError, BerthError } from "../../base/errors.ts";
import { templatesDir } from "../../base/paths.ts";
import { type Progress, silent } from "../../base/progress.ts";
import { type Unpacked, unpack } from "../archive/unpack.ts";
import { templatePolicy } from "../archive/unpack-policy.ts";
import { publishTree, type TreeFacts } from "../build.ts";
import { openStaging, type Staging, sweepBuilds } from "../staging.ts";
import { checkTemplateName, type Template, type TemplateOrigin, templateNames } from "../templates.ts";
import { withTree } from "../tree.ts";
import { fromArchive, type Opened } from "./archive-source.ts";
import { directoryMembers } from "./directory.ts";
import { architectureOf, releaseOf } from "./facts.ts";
import type { ImageMetadata } from "./incus.ts";
import { findLayout, type ImportFormat, type Layout } from "./layout.ts";
import { importLimits } from "./limits.ts";
import { polishImported } from "./polish-import.ts";
import type { ImportRequest } from "./request.ts";

/** Imports a template and gives it its name. A failure or an abort leaves nothing behind. */
export async function importTemplate(request: ImportRequest, progress: Progress = silent): Promise<Template> {
  checkRequest(request);
  await sweepBuilds();
  const staging = openStaging();
  try {
    const facts = await fill(request, staging, progress);
    const began = new Date().toISOString();
    const template = await publishTree(staging, facts, progress);
    if (template.metadata.built < began)
      progress.emit({
        type: "note",
        text: `the very same tree is here already, and keeps what is known of it (${template.names.join(", ")})`,
      });
    return template;
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
  const layout = withTree(unpacked, (tree) => findLayout(tree, layoutOf(request)));
  moveRoot(unpacked, layout, staging);
  return describe(request, origin, layout.metadata ?? metadata, staging, progress);
}

function fromDirectory({ source }: ImportRequest, progress: Progress): Opened {
  return {
    members: directoryMembers(source, progress),
    origin: { source: resolve(source), format: "directory" },
    metadata: undefined,
    close: () => {},
  };
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

/** An Incus image in two files has its root file system as any tar has. */
function layoutOf({ format = "auto", metadata }: ImportRequest): ImportFormat {
  return metadata === undefined ? format : "auto";
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
