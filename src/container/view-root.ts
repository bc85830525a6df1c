/**
 * Looking into a stopped container from the host: its root is put together as a start does, by `berth-launch view`, in
 * no mount table but that of a process that goes with this one.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { Plan } from "../kernel/plan.ts";
import { viewPlan } from "../launch/plan.ts";
import type { Layer } from "../storage/driver.ts";
import { type LockedContainer, refuseSuspended } from "./container.ts";
import { type Launched, launch } from "./launcher.ts";
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
  options: {
    readonly readOnly: boolean;
    /** Whether its processes may wait to go on with it: nothing that they see of it is changed. */
    readonly suspended?: boolean;
  },
  work: (root: string) => Promise<T>,
): Promise<T> {
  refuseInUse(container, options.suspended ?? false);
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
    const [pid, fd] = await view.said;
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
  await view.said;
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
function refuseInUse(container: LockedContainer, suspended = false): void {
  const { name } = container;
  const status = statusOf(name);
  if (status.state !== "stopped")
    throw new BerthError(
      "container.running",
      `container ${name} is running`,
      `its root is /proc/${status.init.pid}/root; \`berth exec ${name}\` runs a command in it`,
    );
  if (!suspended) refuseSuspended(name);
  refuseMounted(container);
}

function spawnView(
  container: LockedContainer,
  { records, runDir }: Root,
  words: readonly string[],
  held: boolean,
): Launched {
  const { name, config, state } = container;
  makeDirs(scratchDir);
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const plan = viewPlan({
    name,
    privileged: config.privileged,
    baseUid: state.baseUid,
    runDir,
    scratchDir,
    rootRecords: records,
  });
  return launch(["view", ...words], plan, container.lock, {
    held,
    failed: ({ step, why }) =>
      new BerthError(
        "container.view-failed",
        `the root of container ${name} cannot be mounted: ${step}: ${why}`,
        "`berth check` looks at what this host lacks",
      ),
  });
}

/** What mountinfo shows as the source of the mount. */
const withSource = (records: Plan, source: string): Plan =>
  records.map((record) =>
    record[0] === "rootOverlay" ? ([...record, `source=${source}`] as const) : record,
  );
