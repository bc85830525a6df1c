/**
 * YAML text to checked settings. Every fault found is reported at once, each with file, line, column, key, value and
 * what to write instead.
 */
import * as v from "valibot";
import { Document, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { closest } from "../base/closest.ts";
import { BerthError } from "../base/errors.ts";
import { dropMount, putMount } from "./mount-edit.ts";
import { type ContainerConfig, containerSchema, type HostConfig, hostSchema } from "./schema.ts";

/** A parsed file: its settings, and the document that keeps comments and order for editing. */
export type ParsedFile<T> = { readonly value: T; readonly document: Document };

const MAX_BYTES = 256 * 1024;

/** A container's config.yaml. Throws config.invalid. */
export const parseContainerConfig = (text: string, file: string): ParsedFile<ContainerConfig> =>
  parseFile(text, file, containerSchema);

/** The host's berth.yaml. Throws config.invalid. */
export const parseHostConfig = (text: string, file: string): ParsedFile<HostConfig> =>
  parseFile(text, file, hostSchema);

function parseFile<T>(text: string, file: string, schema: v.GenericSchema<unknown, T>): ParsedFile<T> {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new BerthError(
      "config.invalid",
      `${file}: it is larger than ${MAX_BYTES} bytes`,
      "this is not a configuration of berth",
    );
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0) {
    const faults = document.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return `${file}:${line}:${col}: ${error.message}`;
    });
    throw invalid(faults, file, "correct the YAML there");
  }
  const raw = plainData(document, file);
  const result = v.safeParse(schema, raw);
  if (result.success) return { value: result.output, document };
  const faults = result.issues.map((issue) => describeIssue(issue, document, lines, file, schema));
  throw invalid(faults, file, "correct the file, or use `berth set`");
}

/** What the document says, aliases resolved: one that points nowhere or multiplies without end is a fault too. */
function plainData(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 16 }) ?? {};
  } catch (error) {
    throw invalid(
      [`${file}: ${error instanceof Error ? error.message : String(error)}`],
      file,
      "write the values out instead of using aliases",
    );
  }
}

function invalid(faults: readonly string[], file: string, cure: string): BerthError {
  const message =
    faults.length === 1
      ? (faults[0] ?? file)
      : `${file} has ${faults.length} faults:\n  ${faults.join("\n  ")}`;
  return new BerthError("config.invalid", message, cure);
}

function describeIssue(
  issue: v.BaseIssue<unknown>,
  document: Document,
  lines: LineCounter,
  file: string,
  schema: v.GenericSchema,
): string {
  const path = (issue.path ?? []).map((item) => String(item.key));
  const key = path.join(".");
  const { line, col } = positionOf(path, document, lines);
  const place = `${file}:${line}:${col}`;
  if (issue.expected === "never" && issue.type === "strict_object") {
    const known = knownKeys(schema, path.slice(0, -1));
    const nearest = closest(path.at(-1) ?? "", known);
    return `${place}: ${key}: there is no such setting${nearest === undefined ? `; known are ${known.join(", ")}` : `; did you mean ${nearest}?`}`;
  }
  if (issue.received === "undefined") return `${place}: ${key}: it is missing and has no default`;
  const value = JSON.stringify(issue.path?.at(-1)?.value ?? issue.input);
  return `${place}: ${key}: ${value}: ${issue.message}`;
}

/** Line and column of the deepest node on the way to `path` that exists in the document. */
function positionOf(
  path: readonly string[],
  document: Document,
  lines: LineCounter,
): { line: number; col: number } {
  for (let depth = path.length; depth > 0; depth--) {
    const node: unknown = document.getIn(
      path.slice(0, depth).map((key) => (/^\d+$/.test(key) ? Number(key) : key)),
      true,
    );
    if (isNode(node) && node.range) return lines.linePos(node.range[0]);
  }
  return { line: 1, col: 1 };
}

/** Keys that a (nested) object schema knows. */
function knownKeys(schema: v.GenericSchema, path: readonly string[]): string[] {
  let at: unknown = schema;
  for (const key of path) at = unwrap(/^\d+$/.test(key) ? itemOf(at) : entriesOf(at)[key]);
  return Object.keys(entriesOf(lastOf(at)));
}

function entriesOf(schema: unknown): Record<string, unknown> {
  if (
    typeof schema === "object" &&
    schema !== null &&
    "entries" in schema &&
    typeof schema.entries === "object" &&
    schema.entries !== null
  ) {
    return { ...schema.entries };
  }
  return {};
}

/** What a list's items are. */
function itemOf(schema: unknown): unknown {
  return typeof schema === "object" && schema !== null && "item" in schema ? schema.item : undefined;
}

/** The last schema of a pipe: what it makes of other forms. Checks at its end make nothing. */
function lastOf(schema: unknown): unknown {
  const steps: readonly unknown[] =
    typeof schema === "object" && schema !== null && "pipe" in schema && Array.isArray(schema.pipe)
      ? schema.pipe
      : [schema];
  return steps.findLast((step) => Object.keys(entriesOf(step)).length > 0);
}

function unwrap(schema: unknown): unknown {
  return typeof schema === "object" && schema !== null && "wrapped" in schema
    ? unwrap(schema.wrapped)
    : schema;
}

type Assignment = {
  readonly path: readonly string[];
  readonly value: string | number | boolean | readonly string[] | null;
};

/**
 * One thing to change: a setting by where it lies, with its value in the form a person writes it (null takes it
 * away); a mount to add, in its short form, in the place of one with the same target; the target of one to take away.
 */
export type ConfigChange = Assignment | { readonly mount: string } | { readonly unmount: string };

export type ConfigChanges = readonly ConfigChange[];

/**
 * The text with settings changed; comments and order stay. The result is checked as a whole: on a fault
 * config.invalid names the setting, and nothing has changed.
 */
export function changeConfig(
  text: string,
  file: string,
  changes: ConfigChanges,
): { text: string; value: ContainerConfig } {
  const { document } = parseContainerConfig(text, file);
  for (const change of changes) applyChange(document, change);
  const changed = document.toString({ lineWidth: 0 });
  return { text: changed, value: parseContainerConfig(changed, file).value };
}

export type ChangeFault = {
  /** The setting. */
  readonly path: readonly string[];
  readonly value: unknown;
  readonly message: string;
};

/** What is wrong with changes by themselves, whatever settings they are made to. */
export function changeFaults(changes: ConfigChanges): readonly ChangeFault[] {
  const document = new Document({ template: "any" });
  for (const change of changes) if (!takesAway(change)) applyChange(document, change);
  const { issues = [] } = v.safeParse(containerSchema, document.toJS());
  return issues.map((issue) => {
    const last = issue.path?.at(-1);
    return {
      path: (issue.path ?? []).map(({ key }) => String(key)),
      value: last?.origin === "key" ? last.key : last?.value,
      message: issue.message,
    };
  });
}

const takesAway = (change: ConfigChange): boolean =>
  "unmount" in change || ("value" in change && change.value === null);

/** Makes one change in a document, keeping what stands around it. */
export function applyChange(document: Document, change: ConfigChange): void {
  if ("mount" in change) putMount(document, change.mount);
  else if ("unmount" in change) dropMount(document, change.unmount);
  else assign(document, change);
}

function assign(document: Document, { path, value }: Assignment): void {
  if (value === null) {
    if (document.hasIn(path)) document.deleteIn(path);
    return;
  }
  const existing: unknown = document.getIn(path, true);
  if (isScalar(existing) && !Array.isArray(value)) existing.value = value;
  else document.setIn(path, value);
}
