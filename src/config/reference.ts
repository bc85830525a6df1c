/** The settings as data for the manual, read from the schemas: docs/reference/config.md and berth-config(5). */
import * as v from "valibot";
import { containerSchema, hostSchema } from "./schema.ts";

export type Setting = {
  /** Dotted path: "network.mtu". */
  readonly key: string;
  readonly description: string;
  readonly example: string;
  /** As a person would write it; undefined when the setting has none. */
  readonly default: string | undefined;
  readonly required: boolean;
};

/** Settings of a container, in the schema's order. */
export const containerSettings = (): Setting[] => settingsOf(containerSchema, "");

/** Settings of the host. */
export const hostSettings = (): Setting[] => settingsOf(hostSchema, "");

function settingsOf(schema: unknown, prefix: string): Setting[] {
  return Object.entries(field(schema, "entries")).flatMap(([name, entry]) => {
    const key = `${prefix}${name}`;
    const optional = field(entry, "wrapped");
    const inner = Object.keys(optional).length === 0 ? entry : optional;
    if (Object.keys(field(inner, "entries")).length > 0) return settingsOf(inner, `${key}.`);
    return [
      {
        key,
        description: v.getDescription(inner as v.GenericSchema) ?? "",
        example: String(v.getMetadata(inner as v.GenericSchema).example ?? ""),
        default: defaultText(entry),
        required: inner === entry,
      },
    ];
  });
}

function field(schema: unknown, name: string): Record<string, unknown> {
  if (typeof schema !== "object" || schema === null) return {};
  const value: unknown = Object.entries(schema).find(([key]) => key === name)?.[1];
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function defaultText(entry: unknown): string | undefined {
  const value: unknown = v.getDefault(entry as v.OptionalSchema<v.GenericSchema, unknown>);
  if (value === undefined) return undefined;
  if (Array.isArray(value)) return `[${value.join(", ")}]`;
  return typeof value === "object" ? "{}" : String(value);
}

/** docs/reference/config.md. */
export function configReference(): string {
  const table = (settings: readonly Setting[]): string =>
    ["| key | what it says | example | default |", "| --- | --- | --- | --- |"]
      .concat(
        settings.map(
          ({ key, description, example, default: value, required }) =>
            `| \`${key}\` | ${description.replaceAll("|", "\\|")} | \`${example}\` | ${required ? "must be given" : value === undefined ? "" : `\`${value}\``} |`,
        ),
      )
      .join("\n");
  return `# Settings

Made from the schema in \`src/config/schema.ts\`; do not edit.

## A container: \`/var/lib/berth/containers/NAME/config.yaml\`

A dot in a key stands for nesting: \`network.mtu\` is \`network: {mtu: 1400}\`. Sizes take K, M, G and T (powers of 1024), counts take k, m and g
(powers of 1000), durations take ms, s, m, h and d. \`none\` takes a limit away. \`berth set\` and \`berth config edit\` change the file and check it;
whoever edits it by hand is checked at the next command, with file, line and column.

${table(containerSettings())}

## The host: \`/etc/berth/berth.yaml\`

All optional; the file need not exist.

${table(hostSettings())}
`;
}
