/** Which containers a command is about. */
import { BerthError } from "../base/errors.ts";
import { containerNames } from "../container/name.ts";

/** The argument of commands that take several names or --all. */
export const namesArgument = {
  name: "name",
  kind: "container",
  variadic: true,
  orAll: true,
  summary: "Container, by name or ctid; several may be named",
} as const;

/** Names given, or all of those that `wanted` accepts. A usage error when there are none of either. */
export function namesOf(
  context: { readonly all: boolean; readonly arguments: { readonly name: readonly string[] } },
  wanted: (name: string) => boolean = () => true,
): readonly string[] {
  if (context.all) return containerNames().filter(wanted);
  if (context.arguments.name.length > 0) return [...new Set(context.arguments.name)];
  throw new BerthError(
    "usage.bad-argument",
    "name at least one container, or --all",
    "`berth ls` shows those there are",
  );
}
