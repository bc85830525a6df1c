/** Templates that nobody can reach any more: no name points to them and no container was made from them. */
import { sweepBuilds } from "./staging.ts";
import { listTemplates, type RemovalGuard, removeTemplate, type Template } from "./templates.ts";

/** The templates without a name that no container uses, newest first. */
export function unusedTemplates({ inUse }: RemovalGuard): readonly Template[] {
  return listTemplates().filter(({ names, digest }) => names.length === 0 && inUse(digest).length === 0);
}

/**
 * Removes them, and what builds that were killed have left; gives those removed. `inUse` is asked again for each just
 * before it goes: template.in-use when a container has been made from it in the meantime.
 */
export async function collectTemplates(guard: RemovalGuard): Promise<readonly Template[]> {
  await sweepBuilds();
  const unused = unusedTemplates(guard);
  for (const { digest } of unused) await removeTemplate(digest, guard);
  return unused;
}
