/** The text of a new container's config.yaml: short, and commented for the person who opens it. */
import { Document } from "yaml";
import { applyChange, type ConfigChanges } from "./parse.ts";

/** A document with `template` first and then the given settings. */
export function newConfigText(name: string, template: string, settings: ConfigChanges): string {
  const document = new Document({ template });
  document.commentBefore = ` ${name}: settings of this container. Change them here or with 'berth set ${name} ...'.\n All keys and their defaults: man berth-config`;
  for (const change of settings) applyChange(document, change);
  return document.toString({ lineWidth: 0 });
}
