/** The text of a new container's config.yaml: short, and commented for the person who opens it. */
import { Document } from "yaml";
import { applyChange, type ConfigChanges } from "./parse.ts";

/** A document with `template` first and then the given settings. */
export function newConfigText(name: string, template: string, settings: ConfigChanges): string {
  const document = new Document({ template });
  document.commentBefore = heading(name);
  for (const change of settings) applyChange(document, change);
  return document.toString({ lineWidth: 0 });
}

const heading = (name: string): string =>
  ` ${name}: settings of this container. Change them here or with 'berth set ${name} ...'.\n All keys and their defaults: man berth-config`;

/** The text with its heading, where it still is ours, under another name. */
export function renameHeading(text: string, from: string, to: string): string {
  const lines = (name: string): string => heading(name).replace(/^/gm, "#");
  return text.startsWith(lines(from)) ? lines(to) + text.slice(lines(from).length) : text;
}
