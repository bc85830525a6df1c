import { statSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { type BackupResult, backupContainer } from "../../container/backup.ts";
import { backupFileName, removeOldBackups } from "../../container/backup-keep.ts";
import { withContainer } from "../../container/container.ts";
import { containerNames, resolveName } from "../../container/name.ts";
import { type Compression, compressions } from "../../storage/archive/compress.ts";
import { compressionFor } from "../archive-file.ts";
import { type CommandContext, defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";
import { visible } from "../framework/escape.ts";

type Made = { readonly file: string; readonly removed: readonly string[] } & BackupResult;

type Choices = {
  readonly upper: boolean;
  readonly replace: boolean;
  readonly compress: Compression | undefined;
};

export const command = defineCommand({
  name: "backup",
  summary: "Write a container to a file",
  description:
    "A file with the settings and the whole root file system, in a tar that other programs unpack too; or with --upper only with what was written over the template, which must then be there where it is restored. A running guest is copied as `snapshot create` does it and runs on; what its programs had not written yet is missing, as after a power cut. Snapshots are not part of it.\n\nThe file appears when it is whole, readable by root alone. Its last member is a checksum of all the others, which `berth restore` looks at before it does anything.",
  arguments: [
    { name: "name", kind: "container", optional: true, summary: "The container, by name or ctid" },
    { name: "file", kind: "path", optional: true, summary: "Where to write it; - for stdout" },
  ],
  options: [
    { name: "all", kind: "flag", summary: "Every container, one after the other; with --to" },
    {
      name: "to",
      kind: "path",
      value: "DIR",
      summary: "Write NAME-YYYYMMDD-HHMMSS.tar.zst into this directory, in UTC",
    },
    {
      name: "keep",
      kind: "count",
      summary: "With --to: when the new one is whole, remove the container's oldest there beyond so many",
    },
    { name: "upper", kind: "flag", summary: "Only what was written over the template, as raw layers" },
    {
      name: "compress",
      kind: "choice",
      choices: compressions,
      summary:
        "How to compress; the file's ending says it when absent (.zst, .gz, .xz, .tar), and zstd with --to",
    },
    { name: "replace", kind: "flag", summary: "Take the place of a file of that name" },
  ] as const,
  examples: [
    { command: "berth backup web1 web1.tar.zst", what: "One container, running or not" },
    { command: "berth backup --all --to /srv/backups --keep 7", what: "All of them, the last seven of each" },
    {
      command: "berth backup web1 - --compress zstd | ssh store 'cat > web1.tar.zst'",
      what: "To another host",
    },
  ],
  seeAlso: ["restore", "checkpoint", "snapshot create"],
  async run(context) {
    requireRoot();
    const { name, file } = context.arguments;
    const { all, to, keep, upper, compress, replace } = context.options;
    const choices = { upper, compress, replace };
    if (to !== undefined) return await intoDirectory(context, namesOf(name, file, all), to, keep, choices);
    if (all || keep !== undefined)
      throw usage(`--${all ? "all" : "keep"} needs a directory`, "--to DIR says where the files go");
    if (name === undefined || file === undefined)
      throw usage(
        name === undefined ? "NAME and FILE are missing" : "FILE is missing",
        "name a file, - for stdout, or a directory with --to",
      );
    const compression = compressionFor(file, compress);
    const made = await make(resolveName(name), file, compression, choices, context);
    if (file === "-") return 0;
    context.out.result(data(made), () => (context.quiet ? undefined : line(resolveName(name), made)));
    return 0;
  },
});

const usage = (message: string, hint: string): BerthError =>
  new BerthError("usage.bad-argument", message, hint);

function namesOf(name: string | undefined, file: string | undefined, all: boolean): readonly string[] {
  if (file !== undefined)
    throw usage(`FILE (${visible(file)}) and --to exclude each other`, "leave out one of them");
  if (all && name !== undefined) throw usage(`--all and ${name} exclude each other`, "leave out one of them");
  if (all) return containerNames();
  if (name === undefined) throw usage("name a container, or --all", "`berth ls` shows those there are");
  return [resolveName(name)];
}

async function intoDirectory(
  context: Pick<CommandContext, "json" | "out" | "progress" | "quiet">,
  names: readonly string[],
  dir: string,
  keep: number | undefined,
  choices: Choices,
): Promise<number> {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw usage(`--to: ${visible(dir)} is no directory`, "make it first");
  if (keep === 0) throw usage("--keep: 0 would keep none, the new one neither", "keep at least 1");
  const { compress = "zstd" } = choices;
  return await eachName(
    context,
    names,
    async (name) => {
      const file = join(dir, backupFileName(name, new Date(), compress));
      const made = await make(name, file, compress, choices, context);
      const removed = keep === undefined ? [] : removeOldBackups(dir, name, keep);
      return data({ ...made, removed });
    },
    { parallel: 1, render: (name, made) => (context.quiet ? undefined : line(name, made)) },
  );
}

async function make(
  name: string,
  file: string,
  compression: Compression,
  { upper, replace }: Choices,
  { progress }: Pick<CommandContext, "progress">,
): Promise<Made> {
  const request = { file, compression, replace, kind: upper ? "upper" : "whole" } as const;
  const result = await withContainer(
    name,
    async (container) => await backupContainer(container, request, progress),
  );
  return { file, removed: [], ...result };
}

function data({ file, removed, manifest, sha256, frozen, bytes, entries, tooDeep }: Made) {
  return {
    ...{
      file,
      kind: manifest.kind,
      size: statSync(file).size,
      contentBytes: bytes,
      entries,
      leftOut: tooDeep,
    },
    ...{ sha256, frozenMilliseconds: Math.round(frozen * 10) / 10, removed },
  };
}

function line(
  name: string,
  { file, removed }: { readonly file: string; readonly removed: readonly string[] },
): string {
  const gone = removed.length === 0 ? "" : `; removed ${removed.join(", ")}`;
  return `${name}: written to ${visible(file)} (${formatSize(statSync(file).size)})${gone}`;
}
