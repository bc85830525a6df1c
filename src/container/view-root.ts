/**
 * Looking into a stopped container from the host: its root is put together as a start does, by `berth-launch view`, in
 * no mount table but that of a process that goes with this one.
 */
import { closeSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import { viewPlan } from "../launch/plan.ts";
import type { Layer } from "../storage/driver.ts";
import { type LockedContainer, refuseSuspended } from "./container.ts";
import { refuseMounted } from "./mounted.ts";
import { layerRootOf, rootRecordsOf } from "./root.ts";
import { scratchDir } from "./start.ts";
import { statusOf } from "./status.ts";

/** On every mount of a guest's root that the host looks into: nothing in it is a program or a device of the host's. */
export const viewAttributes = ["nosuid", "nodev", "noexec"] as const;

/**
 * Runs `work` with the path of the container's root. What is open below it must be closed when `work` is done: its
 * loop device goes with the last descriptor. Throws container.running, or container.view-failed and then nothing is left.
 */
export async function withView<T>(
  container: LockedContainer,
  options: { readonly readOnly: boolean },
  work: (root: string) => Promise<T>,
): Promise<T> {
  refuseInUse(container);
  const attributes = [...viewAttributes, ...(options.readOnly ? ["ro"] : [])];
  return await hold(container, rootOf(container), attributes, work);
}

/** Runs `work` with the path of a tree made of layers over the container's template, which runs or not. */
export async function withLayersView<T>(
  container: LockedContainer,
  layers: readonly Layer[],
  work: (root: string) => Promise<T>,
): Promise<T> {
  return await withLayerRoot(
    container,
    layers,
    async (root) => await hold(container, root, [...viewAttributes, "ro"], work),
  );
}

async function hold<T>(
  container: LockedContainer,
  root: Root,
  attributes: readonly string[],
  work: (path: string) => Promise<T>,
): Promise<T> {
  const view = spawnView(container, root, ["--attributes", attributes.join(",")], true);
  try {
    const [pid, fd] = await verdict(container.name, view);
    return await work(`/proc/${pid}/fd/${fd}`);
  } finally {
    view.letGo();
    await view.exited;
  }
}

/** Attaches the container's root at `dir` in the host's mount table, where it stays and is known by `source`. */
export async function attachView(
  container: LockedContainer,
  dir: string,
  source: string,
  attributes: readonly string[],
): Promise<void> {
  refuseInUse(container);
  await attach(container, rootOf(container), dir, source, attributes);
}

/** The same with a tree made of layers over the container's template. */
export async function attachLayers(
  container: LockedContainer,
  layers: readonly Layer[],
  dir: string,
  source: string,
  attributes: readonly string[],
): Promise<void> {
  await withLayerRoot(
    container,
    layers,
    async (root) => await attach(container, root, dir, source, [...attributes, "ro"]),
  );
}

async function attach(
  container: LockedContainer,
  root: Root,
  dir: string,
  source: string,
  attributes: readonly string[],
): Promise<void> {
  const named = { ...root, records: withSource(root.records, source) };
  const view = spawnView(container, named, ["--attributes", attributes.join(","), "--at", dir], false);
  await verdict(container.name, view);
  await view.exited;
}

/** What is mounted, and where the record of its loop devices lies meanwhile. */
type Root = { readonly records: Plan; readonly runDir: string };

const rootOf = (container: LockedContainer): Root => ({
  records: rootRecordsOf(container),
  runDir: containerPaths(container.name).run,
});

/** The records of the container's own devices, if it runs, are left alone. */
async function withLayerRoot<T>(
  container: LockedContainer,
  layers: readonly Layer[],
  work: (root: Root) => Promise<T>,
): Promise<T> {
  const { run } = containerPaths(container.name);
  mkdirSync(run, { recursive: true, mode: 0o700 });
  const runDir = mkdtempSync(`${run}/layers-`);
  try {
    return await work({ records: layerRootOf(container, layers), runDir });
  } finally {
    rmSync(runDir, { recursive: true, force: true });
  }
}

/** Two mounts of one upper directory would damage it. */
function refuseInUse(container: LockedContainer): void {
  const { name } = container;
  const status = statusOf(name);
  if (status.state !== "stopped")
    throw new BerthError(
      "container.running",
      `container ${name} is running`,
      `its root is /proc/${status.init.pid}/root; \`berth exec ${name}\` runs a command in it`,
    );
  refuseSuspended(name);
  refuseMounted(container);
}

type View = {
  readonly status: Promise<string>;
  readonly exited: Promise<number>;
  readonly letGo: () => void;
};

/** The lock goes along: who kills this command does not let another one in before the mounts are gone. */
function spawnView(
  container: LockedContainer,
  { records, runDir }: Root,
  words: readonly string[],
  held: boolean,
): View {
  makeDirs(scratchDir);
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const plan = viewPlan({
    name: container.name,
    privileged: container.config.privileged,
    baseUid: container.state.baseUid,
    runDir,
    scratchDir,
    rootRecords: records,
  });
  const child = Bun.spawn([binaryPath("berth-launch"), "view", ...words], {
    stdio: [encodePlan(plan), "pipe", "inherit", container.lock.fd, held ? "pipe" : "ignore"],
    env: {},
  });
  const control = child.stdio[4];
  return {
    status: firstLine(child.stdout),
    exited: child.exited,
    letGo: () => {
      if (typeof control === "number") closeSync(control);
    },
  };
}

/** What mountinfo shows as the source of the mount. */
const withSource = (records: Plan, source: string): Plan =>
  records.map((record) =>
    record[0] === "rootOverlay" ? ([...record, `source=${source}`] as const) : record,
  );

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return text.slice(0, Math.max(0, text.indexOf("\n")));
}

/** The pid and the descriptor behind "ok". */
async function verdict(name: string, view: View): Promise<readonly string[]> {
  const [word, ...rest] = (await view.status).split(" ");
  if (word === "ok") return rest;
  const [step = "berth-launch", errno = "0", ...text] = rest;
  const detail = text.join(" ") || "it ended without a word";
  throw new BerthError(
    "container.view-failed",
    `the root of container ${name} cannot be mounted: ${step}: ${errno === "0" ? detail : `${detail}: ${describeErrno(Number(errno))}`}`,
    "`berth check` looks at what this host lacks",
  );
}
