/** What a backup says of itself: berth/manifest.json, and metadata.yaml for those who have Incus or LXC. */
import * as v from "valibot";
import { stringify } from "yaml";
import { BerthError } from "../../base/errors.ts";
import { driverNames } from "../../config/storage-drivers.ts";
import { refused } from "./damaged.ts";

export const backupKinds = ["whole", "upper"] as const;

/** whole: the root file system. upper: what was written over the template, layer by layer. */
export type BackupKind = (typeof backupKinds)[number];

const FORMAT = "berth backup";
const VERSION = 1;

/** Of version 1. */
export const manifestSchema = v.object({
  format: v.literal(FORMAT),
  version: v.literal(VERSION),
  kind: v.picklist(backupKinds),
  name: v.pipe(v.string(), v.maxLength(255)),
  uuid: v.pipe(v.string(), v.uuid()),
  /** ISO 8601. */
  created: v.pipe(v.string(), v.isoTimestamp()),
  /** Whether the guest ran. */
  running: v.boolean(),
  privileged: v.boolean(),
  /** dpkg's word. */
  architecture: v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,32}$/)),
  template: v.object({
    name: v.pipe(v.string(), v.maxLength(255)),
    digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    distribution: v.pipe(v.string(), v.maxLength(255)),
    release: v.pipe(v.string(), v.maxLength(255)),
    /** Number of the signal that asks its init to halt. */
    haltSignal: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)),
  }),
  storage: v.picklist(driverNames),
  /** Layers between the template and its own volume; 0 in a whole one. */
  layers: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(500)),
  baseUid: v.pipe(v.number(), v.integer(), v.minValue(0)),
  mac: v.pipe(v.string(), v.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)),
  address: v.nullable(v.pipe(v.string(), v.regex(/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/))),
  /** Version of the berth that made it. */
  berth: v.pipe(v.string(), v.maxLength(64)),
  /** Whether the guest's processes come along. */
  processes: v.optional(v.boolean(), false),
});

export type Manifest = v.InferOutput<typeof manifestSchema>;

/** A manifest of this version. */
export const newManifest = (
  facts: Omit<Manifest, "format" | "version" | "processes"> & Partial<Pick<Manifest, "processes">>,
): Manifest => ({ format: FORMAT, version: VERSION, processes: false, ...facts });

/** Fails with archive.refused, naming the field, when it is none that this berth can restore. */
export function parseManifest(text: string, file: string): Manifest {
  const value = parseJson(text);
  if (isNewer(value))
    throw refused(
      `${file} is a backup in format ${value.version}, and this berth knows format ${VERSION}`,
      "upgrade berth",
    );
  const parsed = v.safeParse(manifestSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const field = v.getDotPath(issue);
  throw refused(
    `the manifest of ${file} is wrong: ${field === null ? "" : `${field}: `}${issue.message}`,
    "it was not made by berth as it is",
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isNewer(value: unknown): value is { readonly version: number } {
  return (
    typeof value === "object" &&
    value !== null &&
    "format" in value &&
    value.format === FORMAT &&
    "version" in value &&
    typeof value.version === "number" &&
    value.version > VERSION
  );
}

/** Refuses a guest whose programs this host cannot run. */
export function checkArchitecture({ architecture, name }: Manifest, here: string): void {
  if (architecture !== here)
    throw new BerthError(
      "archive.refused",
      `the backup of ${name} is of a guest for ${architecture}, and this host is ${here}`,
      "restore it on a host of that kind",
    );
}

/** The kernel's words, which Incus uses. */
const machines: Readonly<Record<string, string>> = { amd64: "x86_64", arm64: "aarch64" };

/** metadata.yaml of an Incus image, "Image format" of its manual: what makes a whole backup importable there. */
export const imageMetadata = ({ architecture, created, name, template }: Manifest): string =>
  stringify({
    architecture: machines[architecture] ?? architecture,
    creation_date: Math.floor(Date.parse(created) / 1000),
    properties: {
      architecture: machines[architecture] ?? architecture,
      description: `${name}, backup of ${created}`,
      name,
      os: template.distribution,
      release: template.release,
    },
  });
