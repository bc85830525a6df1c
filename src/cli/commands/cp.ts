import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { parseJob } from "../../container/copy/sides.ts";
import { type CopyResult, copy } from "../../container/copy.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "cp",
  summary: "Copy files and directories into and out of a container",
  description:
    "`NAME:/path` is in the container, running or stopped; the other side is on the host, `-` for stdin or stdout of one file. The last one is the target: a directory that is there takes the sources in, else it is the new name of the one source. Directories are copied with all that is in them; symbolic links stay links. A file appears whole or not at all.\n\nInto a container, the host's ids 0 to 65535 become the container's own (root becomes its root), any other id its root's. Out of it, files belong to root, or with --archive to the same numbers; set-uid and set-gid bits are dropped. Times are kept; extended attributes, ACLs and hard links are not. Devices, pipes, sockets and what is mounted inside a directory are left out, and named.\n\nPaths are followed inside the container alone, whatever links it holds, and only to file systems for files: /proc and /sys are for `berth exec`.",
  arguments: [
    {
      name: "path",
      kind: "place",
      variadic: true,
      summary: "The sources, then the target; NAME:/path for those in a container",
    },
  ],
  options: [
    { name: "follow", short: "L", kind: "flag", summary: "Copy what a source that is a link leads to" },
    { name: "archive", short: "a", kind: "flag", summary: "Out: keep the container's owners as numbers" },
    { name: "uid", kind: "count", summary: "In: owner in the container, as its own number" },
    { name: "gid", kind: "count", summary: "In: group in the container, as its own number" },
    { name: "mode", kind: "string", value: "OCTAL", summary: "In: mode of files, such as 0640" },
  ],
  examples: [
    { command: "berth cp site.conf web1:/etc/nginx/conf.d/", what: "A file into a directory of web1" },
    { command: "berth cp web1:/var/log .", what: "A directory out of it, as ./log" },
    { command: "berth cp --mode 0600 - web1:/root/key < key", what: "From stdin" },
    { command: "berth cp web1:/etc/passwd - | wc -l", what: "To stdout" },
  ],
  seeAlso: ["exec", "mount"],
  async run(context) {
    const { follow, archive, uid, gid, mode } = context.options;
    const job = parseJob(context.arguments.path);
    const ids = { uid: idOf("--uid", uid), gid: idOf("--gid", gid), mode: modeOf(mode) };
    requireRoot();
    const result = await copy(job, { follow, archive, ...ids }, context.progress);
    for (const path of result.skipped) context.progress.emit({ type: "warning", text: `${path}: left out` });
    if (job.target === "-") return;
    context.out.result(result, () => (context.quiet ? undefined : summary(result)));
  },
});

function summary({ files, directories, links, bytes }: CopyResult): string {
  const parts = [
    [files, "file"],
    [directories, "directory", "directories"],
    [links, "link"],
  ] as const;
  const words = parts
    .filter(([count]) => count > 0)
    .map(([count, one, many = `${one}s`]) => `${count} ${count === 1 ? one : many}`);
  return `copied ${words.join(", ") || "nothing"}, ${bytes < 1024 ? `${bytes} bytes` : formatSize(bytes)}`;
}

/** As many ids as a container has. */
const IDS = 65536;

function idOf(option: string, id: number | undefined): number | undefined {
  if (id === undefined || id < IDS) return id;
  throw new BerthError("usage.bad-argument", `${option}: ${id} is no id of a container`, "it has 0 to 65535");
}

function modeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  throw new BerthError("usage.bad-argument", `--mode: ${JSON.stringify(text)} is no mode`, "such as 0644");
}
