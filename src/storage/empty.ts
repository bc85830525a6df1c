/** A template that holds nothing: what lies on it has all its files in its own volume, where its limits count them. */

import { publishUnnamed } from "./build.ts";
import { architecture } from "./distributions.ts";
import { openStaging } from "./staging.ts";
import type { Template } from "./templates.ts";

/** The empty template, made if it is not there. It has no name; `template gc` removes it when no container lies on it. */
export async function emptyTemplate(): Promise<Template> {
  const staging = openStaging();
  try {
    return await publishUnnamed(staging, {
      ...{ name: "empty", distribution: "none", release: "", arch: architecture, include: [], mirror: "" },
    });
  } finally {
    await staging.discard();
  }
}
