/**
 * Looking into a stopped container from the host: its root is put together as a start does, by `berth-launch view`, in
 * no mount table but that of a process that goes with this one.
 */
import { mkdirSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { Plan } from "../kernel/plan.ts";
import { viewPlan } from "../launch/plan.ts";
import type { LockedContainer } from "./container.ts";
import { type Launched, launch } from "./launcher.ts";
import { refuseMounted } from "./mounted.ts";
import { rootRecordsOf } from "./root.ts";
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
  const words = ["--attributes", [...viewAttributes, ...(options.readOnly ? ["ro"] : [])].join(",")];
  const view = spawnView(container, words, true);
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
  const view = spawnView(container, ["--attributes", attributes.join(","), "--at", dir], false, source);
  await view.said;
  await view.exited;
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
  refuseMounted(container);
}

function spawnView(
  container: LockedContainer,
  words: readonly string[],
  held: boolean,
  source?: string,
): Launched {
  const { name, config, state } = container;
  const { run } = containerPaths(name);
  makeDirs(scratchDir);
  mkdirSync(run, { recursive: true, mode: 0o700 });
  const plan = viewPlan({
    name,
    privileged: config.privileged,
    baseUid: state.baseUid,
    runDir: run,
    scratchDir,
    rootRecords: named(rootRecordsOf(container), source),
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
const named = (records: Plan, source: string | undefined): Plan =>
  source === undefined
    ? records
    : records.map((record) =>
        record[0] === "rootOverlay" ? ([...record, `source=${source}`] as const) : record,
      );
