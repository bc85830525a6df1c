/**
 * The metadata.yaml of an Incus or LXD image (Incus documentation, "Image format"): what it says of the image, as
 * words. Its templates are not used: berth writes a guest's files itself. A stranger wrote all of it.
 */
import { parse } from "yaml";
import { refused } from "../archive/damaged.ts";
import type { Member } from "../archive/member.ts";

/** Ours are 2 KiB; a larger one is made to fill memory. */
export const LARGEST_METADATA = 1 << 20;

export type ImageMetadata = {
  /** The kernel's or dpkg's word. */
  readonly architecture: string | undefined;
  readonly description: string | undefined;
  /** ISO date. */
  readonly created: string | undefined;
};

/** Fails with archive.refused unless the text is a YAML map. */
export function parseImageMetadata(text: string): ImageMetadata {
  const top = asMap(parseYaml(text));
  if (top === undefined) throw refused("the metadata.yaml of the image is not a YAML map");
  const properties = asMap(top.properties) ?? {};
  return {
    architecture: word(top.architecture) ?? word(properties.architecture),
    description: word(properties.description),
    created: date(top.creation_date),
  };
}

function parseYaml(text: string): unknown {
  try {
    // No alias: a few of them can say gigabytes.
    return parse(text, { maxAliasCount: 0, logLevel: "error" });
  } catch {
    return undefined;
  }
}

function asMap(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function word(value: unknown): string | undefined {
  const text = typeof value === "number" ? String(value) : value;
  return typeof text === "string" && text !== "" ? text.slice(0, 200) : undefined;
}

function date(value: unknown): string | undefined {
  if (typeof value !== "number" || value <= 0 || value > 8.64e12) return undefined;
  return new Date(Math.floor(value) * 1000).toISOString();
}

/** The text of metadata.yaml in a metadata tarball; nothing of it is unpacked. Undefined when there is none. */
export async function metadataOf(members: AsyncIterable<Member>): Promise<string | undefined> {
  for await (const member of members) {
    const name = member.name.toString("latin1").replace(/^(\.?\/)+/, "");
    if (name === "rootfs.img")
      throw refused(
        "the image is one of a virtual machine",
        "berth runs system containers: take the container image",
      );
    if (name !== "metadata.yaml" || member.type !== "file") continue;
    if (member.size > LARGEST_METADATA) throw refused("the metadata.yaml of the image is larger than 1 MiB");
    const parts: Uint8Array[] = [];
    for await (const { bytes } of member.content()) parts.push(Uint8Array.from(bytes));
    return Buffer.concat(parts).toString("utf8");
  }
  return undefined;
}
