/** The console's log: what the keeper wrote, the rotated part first. */
import { readFileSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";

/** All of it, or the last lines. */
export function consoleLog(name: string, lines: number | undefined): Buffer {
  const { consoleLog: file } = containerPaths(name);
  const text = Buffer.concat([readOr(`${file}.1`), readOr(file)]);
  if (lines === undefined) return text;
  let at = text.length - (text.at(-1) === 10 ? 1 : 0);
  for (let left = lines; left > 0 && at >= 0; left--) at = at === 0 ? -1 : text.lastIndexOf(10, at - 1);
  return text.subarray(at + 1);
}

function readOr(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
