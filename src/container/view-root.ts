/**
 * Looking into a stopped container from the host: its root is put together as a start does, by `berth-launch view`, in
 * no mount table but that of a process that goes with this one.
 */
import { closeSync, mkdirSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import { viewPlan } from "../launch/plan.ts";
import type { LockedContainer } from "./container.ts";
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
  const view = spawnView(container, ["--attributes", attributes.join(","), "--at", dir], false, source);
  await verdict(container.name, view);
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

type View = {
  readonly status: Promise<string>;
  readonly exited: Promise<number>;
  readonly letGo: () => void;
};

/** The lock goes along: who kills this command does not let another one in before the mounts are gone. */
function spawnView(
  container: LockedContainer,
  words: readonly string[],
  held: boolean,
  source?: string,
): View {
  const { run } = containerPaths(container.name);
  makeDirs(scratchDir);
  mkdirSync(run, { recursive: true, mode: 0o700 });
  const plan = viewPlan({
    name: container.name,
    privileged: container.config.privileged,
    baseUid: container.state.baseUid,
    runDir: run,
    scratchDir,
    rootRecords: named(rootRecordsOf(container), source),
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
const named = (records: Plan, source: string | undefined): Plan =>
  source === undefined
    ? records
    : records.map((record) =>
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
