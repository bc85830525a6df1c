/** Cells of `ls` with figures in them, which are the kernel's, or marks of them for a card. */
import { formatSize } from "../base/units.ts";
import type { View } from "../container/view.ts";

/** What is used, and the limit where there is one. */
export function memoryCell(used: string | undefined, { config }: Pick<View, "config">): string | undefined {
  if (config.memory === undefined) return used;
  return `${used ?? "-"}/${formatSize(config.memory)}`;
}

/** The same; `plain` holds nobody to a limit. */
export function diskCell(
  used: string | undefined,
  { config, state }: Pick<View, "config" | "state">,
): string | undefined {
  if (state.storage === "plain" || config.disk === undefined) return used;
  return `${used ?? "-"}/${formatSize(config.disk)}`;
}
