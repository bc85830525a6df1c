/** What the words of `berth cp` mean: `NAME:/path` is in a container, `-` a stream, anything else on the host. */
import { BerthError } from "../../base/errors.ts";

export type Job = {
  readonly direction: "in" | "out";
  readonly container: string;
  /** In the order given; on the host for "in", in the container for "out". */
  readonly sources: readonly string[];
  readonly target: string;
};

type Side = { readonly container: string | undefined; readonly path: string };

/** A colon behind a slash belongs to a path of the host: ./a:b. */
function sideOf(word: string): Side {
  const [, container, path = ""] = /^([^/:]+):(.*)$/s.exec(word) ?? [];
  if (container === undefined) return { container: undefined, path: word };
  return { container, path: path.startsWith("/") ? path : `/${path}` };
}

const usage = (message: string, hint: string): BerthError =>
  new BerthError("usage.bad-argument", message, hint);

/** Throws usage.bad-argument with what to say instead. */
export function parseJob(words: readonly string[]): Job {
  const target = words.at(-1);
  if (target === undefined || words.length < 2)
    throw usage("cp needs a source and a target", "berth cp FILE NAME:/path, or berth cp NAME:/path FILE");
  const sources = words.slice(0, -1).map(sideOf);
  const to = sideOf(target);
  const containers = new Set(sources.map(({ container }) => container));
  const [from] = containers;
  if (containers.size > 1)
    throw usage(
      "the sources lie in different places",
      "copy from one container, or from the host, at a time",
    );
  if (from === undefined && to.container === undefined)
    throw usage(
      "neither side is in a container",
      "write NAME:/path for the one that is; cp(1) copies on the host",
    );
  if (from !== undefined && to.container !== undefined)
    throw usage(
      "both sides are in containers",
      `copy by way of a directory of the host: berth cp ${words[0]} DIR/, then berth cp DIR/... ${target}`,
    );
  const paths = sources.map(({ path }) => path);
  if ((paths.includes("-") && paths.length > 1) || (to.path === "-" && paths.length > 1))
    throw usage("a stream carries one file", "name one source when a side is -");
  return {
    direction: to.container === undefined ? "out" : "in",
    container: to.container ?? from ?? "",
    sources: paths,
    target: to.path,
  };
}
