/** A template that is asked for by a distribution's name and is not there yet is built first. */
import type { Progress } from "../base/progress.ts";
import { buildTemplate } from "./build.ts";
import { distributions } from "./distributions.ts";
import { resolveTemplate, type Template, templateNames } from "./templates.ts";

/** The template; built with the host's mirror when that is what its name means. */
export async function templateFor(
  name: string,
  mirror: string | undefined,
  progress: Progress,
): Promise<Template> {
  if (templateNames().has(name) || !Object.hasOwn(distributions, name)) return resolveTemplate(name);
  progress.emit({ type: "note", text: `template ${name} is not there yet; building it` });
  return await buildTemplate(
    { distribution: name, include: [], ...(mirror === undefined ? {} : { mirror }) },
    progress,
  );
}
