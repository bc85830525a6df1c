/**
 * The kinds of value a setting can have: each parses what a person writes and says precisely what is wrong with it.
 * `none` and `max` mean no limit and become undefined where a limit is asked for.
 */
import * as v from "valibot";
import { formatDuration, formatSize, parseCount, parseDuration, parseSize } from "../base/units.ts";

const scalar = v.union([v.string(), v.number()], "it must be a number with an optional unit");

/** Builds a schema from a parser that returns the value or throws a sentence saying what is wrong and what to write. */
function parsed<T>(parse: (text: string) => T) {
  return v.pipe(
    scalar,
    v.rawTransform<string | number, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(String(dataset.value));
      } catch (error) {
        addIssue({ message: error instanceof Error ? error.message : String(error) });
        return NEVER;
      }
    }),
  );
}

const unlimited = (text: string): boolean => /^(none|max|unlimited)$/i.test(text);

/** A size in bytes with its bounds; undefined for `none`. */
export const sizeLimit = (min: number, max: number) =>
  parsed<number | undefined>((text) => (unlimited(text) ? undefined : sizeBetween(text, min, max)));

/** The same where no limit is not what holds when the setting is absent. */
export const sizeOrNone = (min: number, max: number) =>
  parsed<number | "none">((text) => (unlimited(text) ? "none" : sizeBetween(text, min, max)));

function sizeBetween(text: string, min: number, max: number): number {
  const bytes = parseSize(text);
  if (bytes === undefined)
    throw new Error("it is not a size; write a number with K, M, G or T, such as 512M, or none");
  if (bytes < min && /^\d+$/.test(text))
    throw new Error(`it is ${text} bytes and the least is ${formatSize(min)}; did you mean ${text}M?`);
  if (bytes < min) throw new Error(`it is too small; the least is ${formatSize(min)}`);
  if (bytes > max) throw new Error(`it is too large; the most is ${formatSize(max)}`);
  return bytes;
}

/** A whole number with its bounds; undefined for `none`. */
export const countLimit = (min: number, max: number) =>
  parsed<number | undefined>((text) => {
    if (unlimited(text)) return undefined;
    const count = parseCount(text);
    if (count === undefined) throw new Error("it is not a whole number; write such as 500 or 20k, or none");
    if (count < min || count > max) throw new Error(`it must lie between ${min} and ${max}`);
    return count;
  });

/** Processors: 1.5 is one and a half; undefined for `none`. The kernel's shortest quota is 1 ms of 100 ms. */
export const cpuLimit = parsed<number | undefined>((text) => {
  if (unlimited(text)) return undefined;
  const cpus = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(cpus))
    throw new Error("it is not a number of processors; write such as 2 or 1.5, or none");
  if (cpus < 0.01 || cpus > 8192) throw new Error("it must lie between 0.01 and 8192");
  return cpus;
});

/** A length of time in seconds. */
export const duration = (min: number, max: number) =>
  parsed<number>((text) => {
    const seconds = parseDuration(text);
    if (seconds === undefined) throw new Error("it is not a duration; write such as 30s, 5m or 1h");
    if (seconds < min || seconds > max)
      throw new Error(`it must lie between ${formatDuration(min)} and ${formatDuration(max)}`);
    return seconds;
  });

/** A host name (RFC 1123): what sethostname and every guest accept. */
export const hostname = v.pipe(
  v.string("it must be text"),
  v.regex(
    /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i,
    "it is not a host name; use letters, digits, - and dots, at most 63 in all",
  ),
);

const octet = "(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)";
const ipv4Pattern = new RegExp(`^${octet}(?:\\.${octet}){3}$`);

/** A dotted IPv4 address. */
export const ipv4 = v.pipe(
  v.string("it must be an IPv4 address in quotes"),
  v.regex(ipv4Pattern, "it is not an IPv4 address; write such as 10.1.2.3"),
);

/** An address of a name server, v4 or v6. */
export const nameserver = v.pipe(
  v.string("it must be an IP address"),
  v.regex(new RegExp(`${ipv4Pattern.source}|^[0-9a-fA-F:]*:[0-9a-fA-F:.]+$`), "it is not an IP address"),
);

/** Names of signals and their numbers on x86_64 and arm64 (signal(7)); real time signals by RTMIN+N. */
const signals: Record<string, number> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  KILL: 9,
  USR1: 10,
  USR2: 12,
  TERM: 15,
  PWR: 30,
};

/** A signal's number from `TERM`, `SIGPWR`, `RTMIN+3` or `37`. */
export const signal = parsed<number>((text) => {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realtime = /^RTMIN\+(\d{1,2})$/.exec(name);
  const number = realtime
    ? 34 + Number(realtime[1])
    : (signals[name] ?? (/^\d{1,2}$/.test(name) ? Number(name) : 0));
  if (number < 1 || number > 64) {
    throw new Error(
      `it is not a signal; write one of ${Object.keys(signals).join(", ")}, RTMIN+3, or a number`,
    );
  }
  return number;
});

/** Text without control characters: it ends up in environments, plans and terminals. */
export const plainText = (max: number) =>
  v.pipe(
    v.union([v.string(), v.pipe(v.union([v.number(), v.boolean()]), v.transform(String))], "it must be text"),
    v.maxLength(max, `it is longer than ${max} characters`),
    v.check((text) => !hasControl(text), "it holds a control character"),
  );

function hasControl(text: string): boolean {
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/** YAML's true and false. */
export const flag = v.boolean("it must be true or false");
