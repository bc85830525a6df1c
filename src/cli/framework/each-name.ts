/** One operation on several containers: a failure of one does not stop the others. */
import { asBerthError, BerthError, exitCodes } from "../../base/errors.ts";
import type { CommandContext } from "./command.ts";
import { errorData, reportError } from "./report.ts";

export type NameResult<T> =
  | { readonly name: string; readonly ok: true; readonly result: T }
  | { readonly name: string; readonly ok: false; readonly error: ReturnType<typeof errorData> };

/** How many at once unless told: enough to overlap waiting, few enough not to thrash a small host. */
const PARALLEL = 8;

/**
 * Runs `work` for each name, `parallel` at a time, and prints what became of it: failures on stderr as they come,
 * with --json a list of `{name, ok, result | error}` in the order of the names. `render` makes a line for people of
 * a success. Returns the exit code of the first failure in the order of the names, else 0. After Ctrl-C no
 * further one is begun, which is a failure.
 */
export async function eachName<T>(
  context: Pick<CommandContext, "json" | "out" | "progress">,
  names: readonly string[],
  work: (name: string) => Promise<T>,
  options: {
    readonly parallel?: number;
    readonly render?: (name: string, result: T) => string | undefined;
  } = {},
): Promise<number> {
  const { signal } = context.progress;
  const results = new Map<string, NameResult<T>>();
  const exits = new Map<string, number>();
  const queue = [...names];
  const worker = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined && !signal.aborted; name = queue.shift()) {
      try {
        const result = await work(name);
        results.set(name, { name, ok: true, result });
        const line = context.json ? undefined : options.render?.(name, result);
        if (line !== undefined) context.out.line(line);
      } catch (thrown) {
        const error = asBerthError(thrown);
        results.set(name, { name, ok: false, error: errorData(error) });
        exits.set(name, error.exitCode);
        // An empty write takes a progress bar off the terminal before the error is printed.
        context.out.raw("");
        reportError(error, context.json);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.parallel ?? PARALLEL, names.length) }, worker));
  if (context.json) context.out.result(names.flatMap((name) => results.get(name) ?? []));
  const left = names.filter((name) => !results.has(name));
  if (left.length > 0) reportError(notBegun(left), context.json);
  const failed = names.find((name) => exits.has(name));
  const otherwise = left.length > 0 ? exitCodes.failed : exitCodes.ok;
  return failed === undefined ? otherwise : (exits.get(failed) ?? exitCodes.failed);
}

const notBegun = (names: readonly string[]): BerthError =>
  new BerthError(
    "interrupted",
    `interrupted before its turn came: ${names.join(", ")}`,
    "run it again for these",
  );
