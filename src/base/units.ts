/**
 * Sizes, counts and durations as people write them. Sizes are binary (`512M` = 512 * 2^20 bytes), as the kernel's
 * cgroup files and vzctl have it; counts are decimal (`500k` = 500000).
 */

const sizeUnits: Record<string, number> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};
const countUnits: Record<string, number> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };
const durationUnits: Record<string, number> = {
  "": 1,
  ms: 1e-3,
  s: 1,
  m: 60,
  min: 60,
  h: 3600,
  d: 86400,
  w: 604800,
};

function parseUnit(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  const factor = units[(match[2] ?? "").toLowerCase()];
  return factor === undefined ? undefined : Number(match[1]) * factor;
}

/** "512M", "10GiB", "1.5g" to bytes (whole), or undefined. */
export function parseSize(text: string): number | undefined {
  const value = parseUnit(text.replace(/(?<=[kmgtp])i?b$/i, ""), sizeUnits);
  return value === undefined || value > Number.MAX_SAFE_INTEGER ? undefined : Math.floor(value);
}

/** "500", "500k" to a whole number, or undefined. */
export function parseCount(text: string): number | undefined {
  const value = parseUnit(text, countUnits);
  return value === undefined || !Number.isSafeInteger(value) ? undefined : value;
}

/** "30s", "2m", "1h", "250ms", "30" to seconds, or undefined. */
export function parseDuration(text: string): number | undefined {
  return parseUnit(text, durationUnits);
}

/** Bytes to the shortest exact or one-digit form: 536870912 to "512M", 1610612736 to "1.5G". */
export function formatSize(bytes: number): string {
  const names = ["", "K", "M", "G", "T", "P"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = Number.isInteger(value) ? String(value) : value >= 100 ? value.toFixed(0) : value.toFixed(1);
  return `${text.replace(/\.0$/, "")}${names[unit]}`;
}

/** Seconds to "3d 4h", "2h 5m", "42s": the two largest units. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor((whole % 86400) / 3600), "h"],
    [Math.floor((whole % 3600) / 60), "m"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n}${unit}`)
    .join(" ");
}
