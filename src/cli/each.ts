/** Which containers a command is about. */
import { BerthError } from "../base/errors.ts";
import { containerNames, resolveName } from "../container/name.ts";
import type { CommandContext } from "./framework/command.ts";

/** The argument of commands about one container. */
export const nameArgument = {
  name: "name",
  kind: "container",
  summary: "The container, by name or ctid",
} as const;

/** Options of commands that bring a guest down. */
export const downOptions = [
  {
    name: "timeout",
    short: "t",
    kind: "duration",
    summary: "How long to wait before killing; the container's setting when absent",
  },
  { name: "kill", short: "k", kind: "flag", summary: "Kill at once, as if the power were cut" },
] as const;

/** The argument of commands that take several names or --all. */
export const namesArgument = {
  name: "name",
  kind: "container",
  variadic: true,
  orAll: true,
  summary: "Container, by name or ctid; several may be named",
} as const;

/** The container's name for its ctid; a word that means none stays, and is refused by name later. */
export function nameOf(word: string): string {
  try {
    return resolveName(word);
  } catch {
    return word;
  }
}

/** Names given, or all of those that `wanted` accepts. A usage error when there are none of either. */
export function namesOf(
  context: { readonly all: boolean; readonly arguments: { readonly name: readonly string[] } },
  wanted: (name: string) => boolean = () => true,
): readonly string[] {
  if (context.all) return containerNames().filter(wanted);
  if (context.arguments.name.length > 0) return [...new Set(context.arguments.name.map(nameOf))];
  throw new BerthError(
    "usage.bad-argument",
    "name at least one container, or --all",
    "`berth ls` shows those there are",
  );
}

/** Shows warnings. Progress is taken at the first: it would install a handler that short commands need not. */
export const warnTo =
  (context: Pick<CommandContext, "progress">) =>
  (text: string): void =>
    context.progress.emit({ type: "warning", text });
