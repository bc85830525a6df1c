/** Which containers were made from which template. */
import { BerthError } from "../base/errors.ts";
import { readTemplate, type Template } from "../storage/templates.ts";
import { containerNames } from "./name.ts";
import { type ContainerState, loadState } from "./store.ts";

/** Names by template digest. Fails when a state.json is damaged: a template must not go from under it. */
export function containersByTemplate(): ReadonlyMap<string, string[]> {
  const users = new Map<string, string[]>();
  for (const name of containerNames()) {
    const digest = digestOf(name);
    if (digest !== undefined) users.set(digest, [...(users.get(digest) ?? []), name]);
  }
  return users;
}

function digestOf(name: string): string | undefined {
  try {
    return loadState(name).template;
  } catch (error) {
    if (error instanceof BerthError && error.code === "container.not-found") return undefined; // being created or removed
    throw error;
  }
}

/** The template a container was made from, by its digest alone: no names are read on the start path. */
export function templateOf({ template }: Pick<ContainerState, "template">): Template {
  const found = readTemplate(template, new Map());
  if (found !== undefined) return found;
  throw new BerthError(
    "template.not-found",
    `the template ${template.slice(0, 12)} that the container was made from is gone`,
    "restore it from a backup: the container's files lie on top of it",
  );
}
