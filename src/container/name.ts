/** Names of containers: they become host names, cgroups, links and files, so they are kept plain. */
import { existsSync, readdirSync } from "node:fs";
import { closest } from "../base/closest.ts";
import { BerthError, errnoOf } from "../base/errors.ts";
import { containerPaths, instance } from "../base/paths.ts";
import { isPlainName, PLAIN_NAME } from "../base/plain-name.ts";
import { loadConfig } from "./store.ts";

/** Throws container.bad-name unless the word can be a container's name. */
export function checkName(name: string): void {
  if (isPlainName(name)) return;
  throw new BerthError(
    "container.bad-name",
    `${JSON.stringify(name)} cannot be a container's name`,
    PLAIN_NAME,
  );
}

/** Names of all containers of this instance, sorted; those whose creation was cut short too. */
export function containerNames(): string[] {
  try {
    return readdirSync(`${instance.lib}/containers`)
      .filter(isPlainName)
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** The container that a word means: its name, or its ctid. Throws container.not-found with the nearest name. */
export function resolveName(word: string): string {
  if (isPlainName(word) && existsSync(containerPaths(word).dir)) return word;
  const names = containerNames();
  if (/^\d+$/.test(word)) {
    const byNumber = names.find((name) => ctidOf(name) === Number(word));
    if (byNumber !== undefined) return byNumber;
  }
  const nearest = closest(word, names);
  throw new BerthError(
    "container.not-found",
    `there is no container ${JSON.stringify(word)}`,
    nearest !== undefined
      ? `did you mean ${nearest}?`
      : names.length === 0
        ? "`berth create NAME` makes one"
        : "`berth ls` shows those there are",
  );
}

/**
 * Refuses a number that already means another container, by ctid or by name; and a name that is another's ctid. `self`
 * is the name that the container has now.
 */
export function checkNumber(name: string, ctid: number | undefined, self = name): void {
  const meant = new Set([
    ...(ctid === undefined ? [] : [ctid]),
    ...(/^\d+$/.test(name) ? [Number(name)] : []),
  ]);
  if (meant.size === 0) return;
  for (const other of containerNames()) {
    if (other === self) continue;
    const number = [ctidOf(other), ...(/^\d+$/.test(other) ? [Number(other)] : [])].find(
      (own) => own !== undefined && meant.has(own),
    );
    if (number === undefined) continue;
    throw new BerthError(
      "container.exists",
      `${number} means container ${other} already`,
      "choose another number: a ctid names a container as its name does",
    );
  }
}

/** A container whose configuration is broken has no number, but must not hide the others. */
function ctidOf(name: string): number | undefined {
  try {
    return loadConfig(name).ctid;
  } catch {
    return undefined;
  }
}
