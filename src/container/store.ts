/** What lies on disk for a container: wanted settings (config.yaml) and facts that must last (state.json). */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { BerthError, errnoOf } from "../base/errors.ts";
import { makeDirs, readIfExists, writeAtomic } from "../base/files.ts";
import { cacheDir, containerPaths, instance } from "../base/paths.ts";
import type { ContainerConfig, HostConfig } from "../config/schema.ts";
import { driverNames } from "../config/storage-drivers.ts";

/** The parser, loaded when a file has to be parsed: the yaml library is a third of a command's start, and rarely needed. */
const parser = () => require("../config/parse.ts") as typeof import("../config/parse.ts");

/** As storage/driver.ts has it. */
export const layersSchema = v.array(
  v.object({ id: v.string(), storage: v.picklist(driverNames), baseUid: v.number() }),
);

const stateSchema = v.object({
  version: v.literal(1),
  uuid: v.string(),
  /** Digest of the template it was made from. */
  template: v.string(),
  storage: v.picklist(driverNames),
  /** What lies between the template and its own volume, from top to bottom. */
  layers: v.optional(layersSchema, []),
  /** First host id of its 65536; 0 when privileged. */
  baseUid: v.number(),
  mac: v.string(),
  /** With prefix length; null without a network. */
  address: v.nullable(v.string()),
  /** ISO 8601. */
  created: v.string(),
  /** Whether it should run: what a boot of the host restores. */
  shouldRun: v.boolean(),
  /** Its processes lie in checkpoint/ and wait to be resumed. */
  suspended: v.optional(v.boolean(), false),
  /** Digest of the files that told the guest who it is, as last written: the guest's own edits stay until they change. */
  identity: v.string(),
});

export type ContainerState = v.InferOutput<typeof stateSchema>;

/** The container's facts. Throws config.unreadable when the file is damaged. */
export function loadState(name: string): ContainerState {
  const file = containerPaths(name).state;
  try {
    return v.parse(stateSchema, JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") {
      throw new BerthError(
        "container.not-found",
        `container ${name} is incomplete: ${file} is missing`,
        "`berth rm --force` removes what is left of it",
        error,
      );
    }
    throw new BerthError(
      "config.unreadable",
      `${file} is damaged: ${error instanceof Error ? error.message : String(error)}`,
      "restore it from a backup; berth writes it, nobody else should",
      error,
    );
  }
}

/** What state.json says of it. */
export const stateText = (state: ContainerState): string => `${JSON.stringify(state, null, 2)}\n`;

export function saveState(name: string, state: ContainerState, sync = true): void {
  writeAtomic(containerPaths(name).state, stateText(state), { sync });
}

/** Settings as parsed, good for exactly one version of the file they were made from. */
type Compiled<T> = { readonly key: string; readonly config: T };

/** Another berth may have other schemas. */
function readerKey(): string {
  const { size, mtimeMs } = statSync(process.execPath);
  return `${size} ${mtimeMs}`;
}

function keyOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${readerKey()} ${ino} ${size} ${mtimeNs}`;
}

/** The compiled form when it is current, else what `parse` makes, kept for the next time. */
function throughCompiled<T>(path: string, key: string, parse: () => T): T {
  const cached = readCompiled<T>(path, key);
  if (cached !== undefined) return cached;
  const config = parse();
  // Only a cache: whoever may not write it goes without.
  try {
    makeDirs(dirname(path));
    writeAtomic(path, JSON.stringify({ key, config } satisfies Compiled<T>), { sync: false });
  } catch {}
  return config;
}

/** The container's settings: from the compiled form beside the file when that is current, else parsed. */
export function loadConfig(name: string): ContainerConfig {
  const { config: file, compiled } = containerPaths(name);
  let key: string;
  try {
    key = keyOf(file);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    throw new BerthError(
      "config.unreadable",
      `container ${name} has no ${file}`,
      "restore the file, or `berth rm --force` the container",
      error,
    );
  }
  return throughCompiled(
    compiled,
    key,
    () => parser().parseContainerConfig(readFileSync(file, "utf8"), file).value,
  );
}

/** For what must work whatever a person wrote into the file: its settings, or the defaults when it is damaged. */
export function loadConfigLeniently(name: string): ContainerConfig {
  try {
    return loadConfig(name);
  } catch (error) {
    if (error instanceof BerthError && error.code.startsWith("config."))
      return parser().parseContainerConfig("template: unknown", name).value;
    throw error;
  }
}

/** The file is root's own, written by us: its key tells whether it is whole and current. */
function readCompiled<T>(path: string, key: string): T | undefined {
  try {
    const compiled = JSON.parse(readIfExists(path) ?? "null") as Compiled<T> | null;
    return compiled?.key === key ? compiled.config : undefined;
  } catch {
    return undefined;
  }
}

let host: HostConfig | undefined;

/** The host's settings; all of them have defaults. */
export function hostConfig(): HostConfig {
  host ??= loadHostConfig();
  return host;
}

/** Where an operator writes them. */
export const hostConfigFile = `${instance.etc}/berth.yaml`;

function loadHostConfig(): HostConfig {
  const file = hostConfigFile;
  // The key first: it is then never newer than what is read.
  const key = existsSync(file) ? keyOf(file) : `${readerKey()} defaults`;
  return throughCompiled(
    `${cacheDir()}/berth.compiled`,
    key,
    () => parser().parseHostConfig(readIfExists(file) ?? "", file).value,
  );
}
