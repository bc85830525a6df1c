/** The setting `mounts`: directories and files of the host, and volumes, that a container sees at places of its own. */
import * as v from "valibot";
import { isPlainName } from "../base/plain-name.ts";
import { plainText } from "./values.ts";

/** Options of a mount; mount(8)'s words where it has one. */
export const mountOptions = [
  "ro",
  "rw",
  "idmap",
  "noidmap",
  "nosuid",
  "suid",
  "nodev",
  "noexec",
  "rec",
  "optional",
] as const;

export type MountOption = (typeof mountOptions)[number];

export type Mount = {
  /** An absolute path of the host, or the name of a volume. */
  readonly source: string;
  /** An absolute path in the guest. */
  readonly target: string;
  readonly options: readonly MountOption[];
};

/** Whether its source is a volume of berth's. */
export const isVolume = ({ source }: Pick<Mount, "source">): boolean => !source.startsWith("/");

const opposites = [
  ["ro", "rw"],
  ["idmap", "noidmap"],
  ["suid", "nosuid"],
] as const;

/** Where the kernel's own file systems and the devices are: mounts there would break the guest or open it. */
const reserved = ["/proc", "/sys", "/dev"] as const;

/** Whether `path` is `directory` or lies below it. */
export const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);

const trimmed = (path: string): string => path.replace(/(?<=.)\/+$/, "");

const isPlainPath = (path: string): boolean =>
  path.startsWith("/") &&
  trimmed(path)
    .slice(1)
    .split("/")
    .every((part, _, parts) => part !== "." && part !== ".." && (part !== "" || parts.length === 1));

const NOT_A_MOUNT =
  "it is not a mount; write SOURCE:TARGET or SOURCE:TARGET:OPTIONS, such as /srv/data:/data:ro, or {source: , target: , options: }";

/** The parts of the short form; undefined when it has too few or too many. */
export function splitMount(text: string): { source: string; target: string; options: string } | undefined {
  const [source = "", target = "", options = "", ...more] = text.split(":");
  return target === "" || more.length > 0 ? undefined : { source, target: trimmed(target), options };
}

const optionList = v.pipe(
  v.union([v.string(), v.array(v.string())], "it must be options with commas between them, or a list"),
  v.rawTransform<string | string[], MountOption[]>(({ dataset, addIssue, NEVER }) => {
    const words = (typeof dataset.value === "string" ? dataset.value.split(",") : dataset.value).filter(
      (word) => word !== "",
    );
    const known = words.flatMap((word) => mountOptions.find((option) => option === word) ?? []);
    if (known.length < words.length) {
      const unknown = words.find((word) => !mountOptions.some((option) => option === word));
      addIssue({ message: `there is no option ${unknown}; known are ${mountOptions.join(", ")}` });
      return NEVER;
    }
    const clash = opposites.find((pair) => pair.every((option) => known.includes(option)));
    if (clash !== undefined) {
      addIssue({ message: `${clash.join(" and ")} exclude each other` });
      return NEVER;
    }
    return [...new Set(known)];
  }),
);

const source = v.pipe(
  plainText(4096),
  v.transform(trimmed),
  v.check(
    (text) => isPlainPath(text) || isPlainName(text),
    "it is neither an absolute path without . and .. nor the name of a volume",
  ),
);

const target = v.pipe(
  plainText(4096),
  v.transform(trimmed),
  v.check(isPlainPath, "it is not an absolute path without . and .."),
  v.check((path) => path !== "/", "the guest's root cannot be mounted over"),
  v.check(
    (path) => !reserved.some((place) => isWithin(path, place)),
    `nothing is mounted at or below ${reserved.join(", ")}: they are the kernel's and the guest's devices`,
  ),
);

/** One mount, as SOURCE:TARGET:OPTIONS or as a map. */
const mount = v.pipe(
  v.union(
    [
      v.pipe(
        v.string(),
        v.rawTransform<string, { source: string; target: string; options: string }>(
          ({ dataset, addIssue, NEVER }) => {
            const parts = splitMount(dataset.value);
            if (parts !== undefined) return parts;
            addIssue({ message: NOT_A_MOUNT });
            return NEVER;
          },
        ),
      ),
      v.record(v.string(), v.unknown()),
    ],
    NOT_A_MOUNT,
  ),
  v.strictObject({ source, target, options: v.optional(optionList, "") }),
);

const sameTarget = (mounts: readonly Mount[]): Mount | undefined =>
  mounts.find(({ target }, at) => mounts.findIndex((other) => other.target === target) < at);

/** The list. Targets differ. */
export const mountList = v.pipe(
  v.array(mount, "it must be a list of mounts"),
  v.maxLength(64, "there are more than 64 mounts"),
  v.check(
    (mounts) => sameTarget(mounts) === undefined,
    (issue) => `two mounts have the target ${sameTarget(issue.input)?.target}`,
  ),
);
