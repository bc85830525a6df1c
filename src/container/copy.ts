/** Carrying files between the host and a container, running or stopped. The container's side may be hostile. */
import { constants, fstatSync, openSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import { writeAll } from "../kernel/terminal.ts";
import { ID_COUNT } from "../launch/plan.ts";
import { placed, pour, type Step, sweep } from "./copy/entry.ts";
import { type GuestRoot, withGuestRoot } from "./copy/guest-root.ts";
import {
  guestSide,
  hostSide,
  mustBelongToGuest,
  mustBeOrdinary,
  nameOfSource,
  type Opener,
  openSource,
  openTarget,
  type Target,
  using,
} from "./copy/resolve.ts";
import type { Job } from "./copy/sides.ts";
import { type Counts, copyEntry, type Rules, type Work, writeFile } from "./copy/tree.ts";

export type CopyOptions = {
  /** Copy what a link leads to, when a source is one. */
  readonly follow: boolean;
  /** Out: the container's ids 0 to 65535 become the host's. */
  readonly archive: boolean;
  /** In: owner in the container of all that is copied; the host's ids 0 to 65535 when undefined. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** In: mode of files. */
  readonly mode: number | undefined;
};

export type CopyResult = Readonly<Omit<Counts, "skipped">> & { readonly skipped: readonly string[] };

/** Copies. Throws what kept it from going on; of a new file or directory then nothing is left. */
export async function copy(job: Job, options: CopyOptions, progress: Progress): Promise<CopyResult> {
  const counts: Counts = { files: 0, directories: 0, links: 0, bytes: 0, skipped: [] };
  await withGuestRoot(job.container, { readOnly: job.direction === "out" }, async (root) => {
    const step = stepper(root, progress);
    if (job.direction === "in")
      await copyIn({ job, root, options, counts, rules: inRules(root, options, step) });
    else await copyOut({ job, root, options, counts, rules: outRules(root, options, step) });
  });
  return counts;
}

/** How often a copy looks up from its work, in milliseconds. */
const LOOK_MS = 50;

/** Lets Ctrl-C and the guest's end be heard between pieces. */
function stepper(root: GuestRoot, progress: Progress): Step {
  let done = 0;
  let looked = performance.now();
  return async (bytes) => {
    done += bytes;
    if (performance.now() - looked < LOOK_MS) return;
    looked = performance.now();
    progress.emit({ type: "advance", label: "copying", done, total: undefined, unit: "bytes" });
    await new Promise((resolve) => setImmediate(resolve));
    if (progress.signal.aborted)
      throw new BerthError("host.io", "the copy was interrupted", "what was whole stays; copy again");
    root.check();
  };
}

/** Ids that a container has become its own, any other its root's. */
function inRules(root: GuestRoot, options: CopyOptions, step: Step): Rules {
  const inside = (given: number | undefined, id: number): number =>
    root.baseUid + (given ?? (id < ID_COUNT ? id : 0));
  return {
    ownerOf: ({ uid, gid }) => ({ uid: inside(options.uid, uid), gid: inside(options.gid, gid) }),
    modeOf: (stat) => (stat.isFile() ? options.mode : undefined) ?? stat.mode & 0o7777,
    fromResolve: "noSymlinks",
    toResolve: "oneMount",
    trusted: true,
    step,
  };
}

/** Nothing that comes out gives rights: no set-id bits, and no owner but who copies unless asked for. */
function outRules(root: GuestRoot, options: CopyOptions, step: Step): Rules {
  const outside = (id: number): number =>
    options.archive && id >= root.baseUid && id < root.baseUid + ID_COUNT ? id - root.baseUid : 0;
  return {
    ownerOf: ({ uid, gid }) => ({ uid: outside(uid), gid: outside(gid) }),
    modeOf: ({ mode }) => mode & 0o777,
    fromResolve: "oneMount",
    toResolve: "noSymlinks",
    trusted: false,
    step,
  };
}

/** One way, with all that is needed to go it. */
type Way = Work & { readonly job: Job; readonly root: GuestRoot; readonly options: CopyOptions };

async function copyIn(way: Way): Promise<void> {
  const { job, root } = way;
  const named = `${root.name}:${job.target}`;
  const target = openTarget(guestSide(root), job.target, job.sources.length === 1);
  await using(target.dir, async (dir) => {
    mustBeOrdinary(dir, named);
    mustBelongToGuest(dir, root, named);
    sweep(dir);
    if (job.sources[0] === "-") await copyStdin(way, target, named);
    else await copySources(way, hostSide, target, () => {});
  });
}

async function copyOut(way: Way): Promise<void> {
  const { job, root } = way;
  const guest = guestSide(root);
  const check = (entry: number, path: string): void => mustBeOrdinary(entry, guest.named(path));
  if (job.target === "-") return await copyStdout(way, guest, check);
  const target = openTarget(hostSide, job.target, job.sources.length === 1);
  await using(target.dir, async (dir) => {
    sweep(dir);
    await copySources(way, guest, target, check);
  });
}

async function copySources(
  way: Way,
  side: Opener,
  target: Target,
  check: (entry: number, path: string) => void,
): Promise<void> {
  const { job, options } = way;
  for (const path of job.sources) {
    const name = target.name ?? nameOfSource(path, job.container);
    await using(openSource(side, path, options.follow), async (entry) => {
      check(entry, path);
      await copyEntry(entry, side.named(path), { dir: target.dir, name: Buffer.from(name) }, way);
    });
  }
}

/** Mode of what has none on the host. */
const FILE_MODE = 0o644;

async function copyStdin(
  { root, rules, options, counts }: Way,
  target: Target,
  named: string,
): Promise<void> {
  if (target.name === undefined)
    throw new BerthError("usage.bad-argument", `${named} is a directory`, "name the file that stdin goes to");
  const attributes = {
    uid: root.baseUid + (options.uid ?? 0),
    gid: root.baseUid + (options.gid ?? 0),
    mode: options.mode ?? FILE_MODE,
    times: undefined,
  };
  const place = { dir: target.dir, name: Buffer.from(target.name) };
  await placed(place, named, async (fresh) => {
    counts.bytes += await writeFile(fresh, attributes, (to) => drain(Bun.stdin.stream(), to, rules.step));
  });
  counts.files += 1;
}

async function drain(from: ReadableStream<Uint8Array>, to: number, step: Step): Promise<number> {
  let length = 0;
  for await (const chunk of from) {
    writeAll(to, chunk);
    length += chunk.length;
    await step(chunk.length);
  }
  return length;
}

async function copyStdout(
  { job, rules, options, counts }: Way,
  guest: Opener,
  check: (entry: number, path: string) => void,
): Promise<void> {
  const [path = ""] = job.sources;
  await using(openSource(guest, path, options.follow), async (entry) => {
    check(entry, path);
    if (!fstatSync(entry).isFile())
      throw new BerthError(
        "usage.bad-argument",
        `${guest.named(path)} is not a regular file`,
        "--follow copies what a link leads to; a directory needs a directory",
      );
    // The file that was looked at, and a regular one: opening it waits for nobody.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    await using(openSync(`/proc/self/fd/${entry}`, flags), async (from) => {
      counts.bytes += await pour(from, 1, fstatSync(from).size, rules.step);
    });
    counts.files += 1;
  });
}
