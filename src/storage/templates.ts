/**
 * Templates on disk: `templatesDir()/DIGEST/{rootfs/,template.json}`, immutable, shared by every container that
 * was made from it; `names/NAME` is a file that holds a digest. A template under construction or removal has a name
 * that begins with a dot.
 */
import { chmodSync, mkdirSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { closest } from "../base/closest.ts";
import { BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs, readIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { templatesDir } from "../base/paths.ts";
import type { InitKind } from "./init-kind.ts";
import { removeDirectory } from "./remove.ts";

/** template.json, version 1. */
export type TemplateMetadata = {
  readonly version: 1;
  /** What it was first called. */
  readonly name: string;
  /** "debian", "ubuntu", "busybox". */
  readonly distribution: string;
  readonly release: string;
  /** dpkg's word: "amd64", "arm64". */
  readonly arch: string;
  /** ISO date of the build. */
  readonly built: string;
  /** Bytes of all regular files. */
  readonly size: number;
  readonly entries: number;
  readonly digest: string;
  readonly initKind: InitKind;
  /** Signal number that asks this init to power off. */
  readonly haltSignal: number;
  /** Packages asked for beyond the base. */
  readonly include: readonly string[];
  /** Archive it was built from; "" for busybox and what was imported. */
  readonly mirror: string;
  /** What it was imported from. */
  readonly origin?: TemplateOrigin;
};

/** Where an imported template came from. Its words are the operator's, and those of a stranger's archive. */
export type TemplateOrigin = {
  /** The file or directory as it was named, or "-". */
  readonly source: string;
  /** "tar (xz)", "squashfs, Incus image", "directory". */
  readonly format: string;
  /** Of the file, 64 hex digits. */
  readonly sha256?: string;
  /** Fingerprint of the key whose signature was verified. */
  readonly signedBy?: string;
  /** What an Incus image says of itself. */
  readonly description?: string;
  /** ISO date on which the image says it was made. */
  readonly created?: string;
};

export type Template = {
  readonly digest: string;
  readonly rootfs: string;
  readonly metadata: TemplateMetadata;
  /** The names that point to it, sorted; none when all have moved on to a newer one. */
  readonly names: readonly string[];
};

const digestPattern = /^[0-9a-f]{64}$/;
const prefixPattern = /^[0-9a-f]{6,64}$/;
const namePattern = /^[a-z0-9][a-z0-9._-]{0,62}$/;

const namesDir = (): string => `${templatesDir()}/names`;

/** Fails with template.bad-name unless `name` can be a template's. */
export function checkTemplateName(name: string): void {
  if (namePattern.test(name) && !digestPattern.test(name)) return;
  throw new BerthError(
    "template.bad-name",
    `${JSON.stringify(name)} cannot be a template's name`,
    "lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63",
  );
}

/** Makes the directories; only root may enter: a template holds programs that are setuid root, perhaps outdated ones. */
export function makeTemplatesDir(): string {
  const dir = templatesDir();
  makeDirs(dir);
  chmodSync(dir, 0o700);
  mkdirSync(namesDir(), { recursive: true, mode: 0o755 });
  return dir;
}

/** Names and the digests that they point to. */
export function templateNames(): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const name of readDirIfExists(namesDir()).sort()) {
    if (!namePattern.test(name)) continue;
    const digest = readIfExists(`${namesDir()}/${name}`)?.trim();
    if (digest !== undefined && digestPattern.test(digest)) names.set(name, digest);
  }
  return names;
}

/** All templates: named ones by name, then those without a name, newest first. */
export function listTemplates(): readonly Template[] {
  const names = templateNames();
  return readDirIfExists(templatesDir())
    .filter((entry) => digestPattern.test(entry))
    .flatMap((digest) => readTemplate(digest, names) ?? [])
    .sort((a, b) => order(a, b));
}

function order(a: Template, b: Template): number {
  const [left, right] = [a.names[0], b.names[0]];
  if (left !== undefined && right !== undefined) return left < right ? -1 : 1;
  if (left !== right) return left === undefined ? 1 : -1;
  return a.metadata.built < b.metadata.built ? 1 : -1;
}

/** The template of a name, a digest or at least six digits of one. template.not-found suggests what may have been meant. */
export function resolveTemplate(nameOrDigest: string): Template {
  const names = templateNames();
  const named = names.get(nameOrDigest);
  const byName = named === undefined ? undefined : readTemplate(named, names);
  if (byName !== undefined) return byName;
  const digests = prefixPattern.test(nameOrDigest)
    ? readDirIfExists(templatesDir()).filter(
        (entry) => digestPattern.test(entry) && entry.startsWith(nameOrDigest),
      )
    : [];
  if (digests.length > 1)
    throw new BerthError(
      "template.not-found",
      `${nameOrDigest} is the beginning of ${digests.length} templates`,
      `write more of it: ${digests.map((digest) => digest.slice(0, nameOrDigest.length + 6)).join(", ")}`,
    );
  const found = digests[0] === undefined ? undefined : readTemplate(digests[0], names);
  if (found !== undefined) return found;
  throw notFound(nameOrDigest, [...names.keys()]);
}

function notFound(wanted: string, names: readonly string[]): BerthError {
  const near = closest(wanted, names);
  const meant = near === undefined ? "" : `did you mean ${near}? `;
  const there =
    names.length === 0
      ? "there is no template yet; berth template build debian-13 makes one"
      : `there are: ${names.join(", ")}`;
  return new BerthError("template.not-found", `there is no template ${wanted}`, `${meant}${there}`);
}

/** What template.json says of it. */
export function templateInfo(nameOrDigest: string): TemplateMetadata {
  return resolveTemplate(nameOrDigest).metadata;
}

/** The template with that digest, or undefined when it is not there whole. */
export function readTemplate(
  digest: string,
  names: ReadonlyMap<string, string> = templateNames(),
): Template | undefined {
  const dir = `${templatesDir()}/${digest}`;
  const text = readIfExists(`${dir}/template.json`);
  if (text === undefined) return undefined;
  return {
    digest,
    rootfs: `${dir}/rootfs`,
    metadata: parseMetadata(text, `${dir}/template.json`),
    names: [...names].filter(([, target]) => target === digest).map(([name]) => name),
  };
}

function parseMetadata(text: string, path: string): TemplateMetadata {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "version" in value && value.version === 1)
      return value as TemplateMetadata;
  } catch {
    // said below
  }
  throw new BerthError(
    "config.unreadable",
    `${path} is not a template's description (version 1)`,
    "build the template again, or upgrade berth if a newer one made it",
  );
}

/** Points a name to a template, atomically; it lasts through a power cut. */
export function nameTemplate(name: string, digest: string): void {
  checkTemplateName(name);
  makeTemplatesDir();
  writeAtomic(`${namesDir()}/${name}`, `${digest}\n`, { mode: 0o644 });
}

export type RemovalGuard = {
  /** Names of the containers that use a template. */
  readonly inUse: (digest: string) => readonly string[];
};

/**
 * Removes a name, and the template with its last name; a digest removes the template with all its names. Refuses
 * with template.in-use, naming the containers, when the tree would go from under them.
 */
export async function removeTemplate(nameOrDigest: string, { inUse }: RemovalGuard): Promise<void> {
  const template = resolveTemplate(nameOrDigest);
  const isName = template.names.includes(nameOrDigest);
  if (isName && template.names.length > 1) {
    dropName(nameOrDigest);
    return;
  }
  const users = inUse(template.digest);
  if (users.length > 0)
    throw new BerthError(
      "template.in-use",
      `template ${nameOrDigest} is in use by ${users.join(", ")}`,
      `remove ${users.length === 1 ? "that container" : "those containers"} first`,
    );
  for (const name of template.names) dropName(name);
  const dir = templatesDir();
  // Out of sight at once; if we are killed while removing, sweepBuilds does the rest.
  const doomed = `${dir}/.removed-${template.digest}-${process.pid}`;
  renameSync(`${dir}/${template.digest}`, doomed);
  syncDir(dir);
  await removeDirectory(doomed);
}

function dropName(name: string): void {
  unlinkSync(`${namesDir()}/${name}`);
  syncDir(namesDir());
}

function readDirIfExists(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
