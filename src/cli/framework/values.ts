/** Words of the command line to values: one check a kind, each failure with what was expected. */
import { closest } from "../../base/closest.ts";
import { BerthError } from "../../base/errors.ts";
import { parseCount, parseDuration, parseSize } from "../../base/units.ts";
import type { ValueKind } from "./command.ts";

export type ParsedValue = string | number | boolean | readonly [string, string];

type ValueSpec = {
  readonly kind: ValueKind;
  readonly choices?: readonly string[];
  readonly words?: readonly string[];
  readonly soft?: boolean;
};

const truths = new Map([
  ["yes", true],
  ["true", true],
  ["on", true],
  ["1", true],
  ["no", false],
  ["false", false],
  ["off", false],
  ["0", false],
]);

type Check = { readonly parse: (text: string) => ParsedValue | undefined; readonly expected: string };

const anyText = (text: string): string | undefined => (text === "" ? undefined : text);

const checks: Record<Exclude<ValueKind, "choice">, Check> = {
  string: { parse: (text) => text, expected: "any text" },
  size: { parse: parseSize, expected: "a size such as 512M, 1.5G or 10G" },
  count: { parse: parseCount, expected: "a whole number such as 500 or 10k" },
  number: {
    parse: (text) => (/^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : undefined),
    expected: "a number such as 2 or 1.5",
  },
  duration: { parse: parseDuration, expected: "a time such as 30s, 2m or 1h" },
  path: { parse: anyText, expected: "a path" },
  place: { parse: anyText, expected: "a path, or NAME:/path in a container" },
  boolean: { parse: (text) => truths.get(text.toLowerCase()), expected: "yes or no" },
  pair: {
    parse: (text) => {
      const at = text.indexOf("=");
      return at <= 0 ? undefined : [text.slice(0, at), text.slice(at + 1)];
    },
    expected: "KEY=VALUE",
  },
  container: { parse: anyText, expected: "a container's name" },
  template: { parse: anyText, expected: "a template's name" },
  volume: { parse: anyText, expected: "a volume's name" },
  snapshot: { parse: anyText, expected: "a snapshot's name" },
  "mount-target": { parse: anyText, expected: "a path in the container" },
  setting: { parse: anyText, expected: "a setting's key" },
};

/** The value, or a usage error that begins with `label` ("--memory", "NAME"). */
export function parseValue(label: string, spec: ValueSpec, text: string): ParsedValue {
  if (spec.words?.includes(text)) return text;
  if (spec.kind === "choice") return parseChoice(label, spec.choices ?? [], text);
  const check = checks[spec.kind];
  const value = check.parse(text);
  if (value !== undefined) return value;
  const [soft, hard, ...more] = spec.soft === true ? text.split(":") : [];
  if (soft !== undefined && hard !== undefined && more.length === 0) {
    for (const part of [soft, hard]) parseValue(label, { ...spec, soft: false }, part);
    return text;
  }
  const words = `${spec.soft === true ? ", or a soft one before it as SOFT:HARD" : ""}${spec.words?.length ? `, or ${spec.words.join(" or ")}` : ""}`;
  throw new BerthError(
    "usage.bad-argument",
    `${label}: "${text}" is not what it takes`,
    `it takes ${check.expected}${words}`,
  );
}

function parseChoice(label: string, choices: readonly string[], text: string): string {
  if (choices.includes(text)) return text;
  const near = closest(text, choices);
  const all = `it takes one of: ${choices.join(", ")}`;
  throw new BerthError(
    "usage.bad-argument",
    `${label}: "${text}" is not one of its values`,
    near === undefined ? all : `did you mean "${near}"? ${all}`,
  );
}
