/** Building a template: into a staging directory, polished, stripped, digested, then renamed into place whole. */
import { chmodSync, existsSync, lchownSync, mkdirSync, renameSync } from "node:fs";
import { closest } from "../base/closest.ts";
import { asBerthError, BerthError, errnoOf } from "../base/errors.ts";
import { syncDir, writeAtomic } from "../base/files.ts";
import { templatesDir } from "../base/paths.ts";
import { type Progress, silent } from "../base/progress.ts";
import { buildBusybox, findBusybox } from "./busybox.ts";
import { digestTree } from "./digest.ts";
import { architecture, type DebianLike, type Distribution, distributions } from "./distributions.ts";
import { haltSignals, initKindOf } from "./init-kind.ts";
import { bootstrap, needBootstrap } from "./mmdebstrap.ts";
import { polishTree } from "./polish.ts";
import { must } from "./program.ts";
import { type AptProxies, chooseArchive, formatDeb822, hostProxies } from "./sources.ts";
import { openStaging, type Staging, sweepBuilds } from "./staging.ts";
import { stripTree } from "./strip.ts";
import {
  checkTemplateName,
  nameTemplate,
  readTemplate,
  type Template,
  type TemplateMetadata,
  templateNames,
} from "./templates.ts";
import { withTree } from "./tree.ts";

export type BuildRequest = {
  /** A key of `distributions`. */
  readonly distribution: string;
  /** Name of the template; the distribution's if left out. */
  readonly name?: string;
  /** Packages beyond the base. */
  readonly include?: readonly string[];
  /** Archive URI instead of the host's own. */
  readonly mirror?: string;
  /** Suite instead of the release's codename. */
  readonly suite?: string;
  /** Whether a name that exists may move on to the new template; the old one stays for its containers. */
  readonly replace?: boolean;
};

/** What a build knows of a tree that the tree does not say. */
export type TreeFacts = Pick<
  TemplateMetadata,
  "name" | "distribution" | "release" | "arch" | "include" | "mirror" | "origin"
>;

/** Builds a template and gives it its name. A failure or an abort leaves nothing behind. */
export async function buildTemplate(request: BuildRequest, progress: Progress = silent): Promise<Template> {
  const distribution = findDistribution(request.distribution);
  const name = request.name ?? request.distribution;
  checkRequest(request, name, distribution);
  await sweepBuilds();
  const staging = openStaging();
  try {
    const facts =
      distribution.kind === "busybox"
        ? await fillBusybox(name, staging, progress)
        : await fillDebian(distribution, request, name, staging, progress);
    return await publishTree(staging, facts, progress);
  } catch (error) {
    if (progress.signal.aborted)
      throw new BerthError("template.build-failed", `building ${name} was interrupted`, "", error);
    throw asBerthError(error);
  } finally {
    await staging.discard();
  }
}

function findDistribution(name: string): Distribution {
  const found = distributions[name];
  if (found !== undefined) return found;
  const names = Object.keys(distributions);
  const near = closest(name, names);
  throw new BerthError(
    "template.not-found",
    `there is no distribution ${name} to build from`,
    `${near === undefined ? "" : `did you mean ${near}? `}there are: ${names.join(", ")}`,
  );
}

function checkRequest(request: BuildRequest, name: string, distribution: Distribution): void {
  checkTemplateName(name);
  if (templateNames().has(name) && request.replace !== true)
    throw new BerthError(
      "template.exists",
      `the template ${name} exists already`,
      "--replace builds it anew (containers keep the one they have), --name gives the new one another name",
    );
  for (const word of request.include ?? [])
    if (!/^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?$/.test(word))
      throw new BerthError("usage.bad-argument", `${JSON.stringify(word)} is not a package's name`);
  if (request.suite !== undefined && !/^[a-z][a-z0-9.-]*$/.test(request.suite))
    throw new BerthError("usage.bad-argument", `${JSON.stringify(request.suite)} is not a suite's name`);
  if (request.mirror !== undefined && !/^https?:\/\/[^\s/]+[^\s]*$/.test(request.mirror))
    throw new BerthError(
      "usage.bad-argument",
      `${JSON.stringify(request.mirror)} is not a mirror`,
      "an http or https URL, such as http://deb.debian.org/debian",
    );
  if (distribution.kind === "busybox" && (request.include?.length ?? 0) > 0)
    throw new BerthError("usage.bad-argument", "busybox has no packages to include");
}

async function fillBusybox(name: string, staging: Staging, progress: Progress): Promise<TreeFacts> {
  const busybox = findBusybox();
  progress.emit({ type: "step", label: `copying ${busybox}` });
  const release = await buildBusybox(staging.rootfs, busybox);
  return { name, distribution: "busybox", release, arch: architecture, include: [], mirror: "" };
}

async function fillDebian(
  from: DebianLike,
  request: BuildRequest,
  name: string,
  staging: Staging,
  progress: Progress,
): Promise<TreeFacts> {
  needBootstrap(from);
  const suite = request.suite ?? from.suite;
  const include = request.include ?? [];
  progress.emit({ type: "step", label: "choosing a mirror" });
  const proxies = await hostProxies();
  const archive = await chooseArchive(from, suite, request.mirror, proxies);
  for (const text of archive.warnings) progress.emit({ type: "warning", text });
  progress.emit({ type: "note", text: `building from ${archive.mirror} (${suite})` });
  await bootstrap({ from, suite, archive, include, proxies }, staging, progress);
  progress.emit({ type: "step", label: "making it a guest" });
  withTree(staging.rootfs, (tree) =>
    polishTree(tree, {
      sourcesName: from.kind,
      sources: formatDeb822(archive.sources, from.keyring),
      conf: proxyConf(proxies),
    }),
  );
  return {
    name,
    distribution: from.kind,
    release: suite === from.suite ? from.release : suite,
    arch: architecture,
    include,
    mirror: archive.mirror,
  };
}

/** A proxy on the host's own loopback cannot be reached from a guest. */
function proxyConf(proxies: AptProxies): string {
  return (["http", "https"] as const)
    .flatMap((scheme) => {
      const uri = proxies[scheme];
      if (uri === undefined || /\/\/(localhost|127\.|\[::1\])/.test(uri)) return [];
      return [`Acquire::${scheme}::Proxy "${uri}";\n`];
    })
    .join("");
}

/**
 * Makes the tree in `staging` a template: stripped, described, on disk, in place under its digest, named. When the
 * very same tree is a template already, that one gets the name.
 */
export async function publishTree(
  staging: Staging,
  facts: TreeFacts,
  progress: Progress = silent,
): Promise<Template> {
  const digest = await placeTree(staging, facts, progress);
  nameTemplate(facts.name, digest);
  progress.emit({ type: "advance", label: "done", done: 100, total: 100, unit: "percent" });
  return mustRead(digest);
}

/** The same without a name. */
export async function publishUnnamed(staging: Staging, facts: TreeFacts): Promise<Template> {
  return mustRead(await placeTree(staging, facts, silent));
}

async function placeTree(staging: Staging, facts: TreeFacts, progress: Progress): Promise<string> {
  const { signal } = progress;
  progress.emit({ type: "step", label: "computing its digest" });
  lchownSync(staging.rootfs, 0, 0);
  chmodSync(staging.rootfs, 0o755);
  stripTree(staging.rootfs);
  const { digest, size, entries } = await digestTree(staging.rootfs, signal);
  const initKind = withTree(staging.rootfs, initKindOf);
  const metadata: TemplateMetadata = {
    version: 1,
    ...facts,
    built: new Date().toISOString(),
    size,
    entries,
    digest,
    initKind,
    haltSignal: haltSignals[initKind],
  };
  progress.emit({ type: "advance", label: "writing it to disk", done: 96, total: 100, unit: "percent" });
  await putInPlace(staging, metadata);
  return digest;
}

function mustRead(digest: string): Template {
  const template = readTemplate(digest);
  if (template === undefined)
    throw new BerthError("template.build-failed", `template ${digest} vanished while it was named`);
  return template;
}

async function putInPlace(staging: Staging, metadata: TemplateMetadata): Promise<void> {
  const place = `${templatesDir()}/${metadata.digest}`;
  if (existsSync(`${place}/template.json`)) return;
  const whole = `${staging.dir}/template`;
  mkdirSync(whole, { mode: 0o755 });
  renameSync(staging.rootfs, `${whole}/rootfs`);
  writeAtomic(`${whole}/template.json`, `${JSON.stringify(metadata, null, 2)}\n`, { mode: 0o644 });
  // The tree is on disk before its name says that it is whole.
  await must("template.build-failed", `cannot write ${whole} to disk`, "sync", ["-f", "--", whole]);
  try {
    renameSync(whole, place);
  } catch (error) {
    // Somebody built the same tree in the meantime.
    if (errnoOf(error) !== "ENOTEMPTY" && errnoOf(error) !== "EEXIST") throw error;
  }
  syncDir(templatesDir());
}
