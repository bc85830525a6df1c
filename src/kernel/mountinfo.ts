/** The host's mount table (proc_pid_mountinfo(5)). */
import { readFileSync } from "node:fs";

export type Mount = {
  /** major:minor of the file system. */
  readonly numbers: string;
  readonly path: string;
  /** The mount or its file system. */
  readonly readOnly: boolean;
};

/** The mount that a path without links lies on. */
export function mountOf(path: string): Mount | undefined {
  return parseMounts(readFileSync("/proc/self/mountinfo", "utf8"))
    .filter((mount) => path === mount.path || path.startsWith(mount.path.replace(/\/?$/, "/")))
    .reduce<Mount | undefined>(
      // What was mounted later at the same place hides the earlier.
      (best, mount) => (best === undefined || mount.path.length >= best.path.length ? mount : best),
      undefined,
    );
}

/** The lines of a mountinfo file. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const [, , numbers, , path, options, ...rest] = line.split(" ");
    if (numbers === undefined || path === undefined || options === undefined) return [];
    const ofFileSystem = rest.slice(rest.indexOf("-") + 1)[2] ?? "";
    return [
      {
        numbers,
        path: path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
          String.fromCharCode(Number.parseInt(octal, 8)),
        ),
        readOnly: [options, ofFileSystem].some((list) => list.split(",").includes("ro")),
      },
    ];
  });
}
