/**
 * A checkpoint as a file: a backup with the guest's processes of the same moment. What a migration says over the line is
 * written into it: the record beside the images, where the cgroups lay, and what that host had.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { BerthError } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { Progress } from "../base/progress.ts";
import { cgroupHome } from "../checkpoint/cgroup-tree.ts";
import { imagesIn, readRecord } from "../checkpoint/record.ts";
import { resumeContainer } from "../checkpoint/resume.ts";
import type { Sessions } from "../checkpoint/sessions.ts";
import { mustBeWritable, suspendContainer, writeBeside } from "../checkpoint/suspend.ts";
import { type BackupRequest, type BackupResult, backupContainer } from "../container/backup.ts";
import type { LockedContainer } from "../container/container.ts";
import type { ProcessTaker } from "../container/restore.ts";
import { memoryDir, sweepMemories } from "../container/snapshots.ts";
import { loadState, saveState } from "../container/store.ts";
import { discardCheckpoint } from "../container/suspended.ts";
import type { Backup } from "../storage/archive/backup-reader.ts";
import { refused } from "../storage/archive/damaged.ts";
import { hostFacts } from "./host-facts.ts";
import { placeProcesses } from "./live-receive.ts";
import { cgroupPath, hostSchema, recordSchema } from "./messages.ts";
import { lackingFor } from "./terms.ts";

const processesSchema = v.object({ record: recordSchema, cgroup: cgroupPath, host: hostSchema });

type Processes = v.InferOutput<typeof processesSchema>;

/** No snapshot has such a name. */
const FOR_A_FILE = ".file";

/** Writes disk and processes of a running guest, which goes on, or of a suspended one. Throws what a suspend would. */
export async function writeCheckpoint(
  container: LockedContainer,
  request: Omit<BackupRequest, "processes">,
  progress: Progress,
  sessions: Sessions = {},
): Promise<BackupResult> {
  const { name, state } = container;
  if (state.suspended) {
    const { checkpoint } = containerPaths(name);
    const processes = { remember: undefined, found: () => foundIn(checkpoint, name) };
    return await backupContainer(container, { ...request, processes }, progress);
  }
  await mustBeWritable(container, sessions);
  const dir = memoryDir(name, FOR_A_FILE);
  const remember = async (work: () => Promise<void>): Promise<number> => {
    makeDirs(dirname(dir));
    return (await writeBeside(container, dir, work)).frozen;
  };
  try {
    const processes = { remember, found: () => foundIn(dir, name) };
    return await backupContainer(container, { ...request, processes }, progress);
  } finally {
    sweepMemories(name);
  }
}

/** The same, and it is stopped when the file is whole; if that fails it goes on. */
export async function writeCheckpointAndStop(
  container: LockedContainer,
  request: Omit<BackupRequest, "processes">,
  progress: Progress,
  sessions: Sessions = {},
): Promise<BackupResult> {
  const { name } = container;
  const ran = !container.state.suspended;
  const frozen = ran ? (await suspendContainer(container, progress, sessions)).frozen : 0;
  const suspended = { ...container, state: loadState(name) };
  try {
    const result = await writeCheckpoint(suspended, request, progress);
    saveState(name, { ...loadState(name), shouldRun: false });
    // What reads a pipe may have found it of no use: until somebody knows, it stays suspended here too.
    if (request.file === "-") return { ...result, frozen };
    discardCheckpoint(name);
    return { ...result, frozen };
  } catch (error) {
    if (ran) await resumeContainer(suspended, progress);
    throw error;
  }
}

function foundIn(checkpoint: string, name: string): { text: string; images: string } {
  const processes: Processes = {
    record: readRecord(checkpoint),
    cgroup: cgroupHome(name),
    host: hostFacts(),
  };
  return { text: JSON.stringify(processes), images: imagesIn(checkpoint) };
}

/** Takes the processes of a checkpoint file: they wait to be resumed. `note` gets what becomes of their connections. */
export const processTaker = (note: (text: string) => void): ProcessTaker => ({
  check: async (backup) => {
    const { host } = parse(backup);
    const { criu, missing } = await lackingFor(host);
    const faults = [
      ...(criu === undefined ? [] : [criu]),
      ...(missing.length === 0 ? [] : [`its processors lack ${missing.join(", ")}`]),
    ];
    if (faults.length > 0)
      throw new BerthError(
        "host.missing-feature",
        `this host cannot bring the processes of ${backup.manifest.name} back: ${faults.join("; ")}`,
        "--disk-only restores its disk, to boot it",
      );
  },
  take: async ({ name, state }, backup, unpack) => {
    const { record, cgroup } = parse(backup);
    const { address, baseUid } = backup.manifest;
    const elsewhere = address !== state.address;
    if (elsewhere)
      note(
        `${name} has the address ${state.address ?? "none"} instead of ${address ?? "none"}: its connections are closed`,
      );
    else
      note(
        `${name} is the very container that was written down: where that one still runs, on another host too, only one of them may`,
      );
    const disconnected = elsewhere || record.disconnected === true;
    await placeProcesses(
      { name, state },
      { record: { ...record, disconnected }, cgroup, baseUid },
      async (images) => {
        await unpack(images);
        if (!existsSync(`${images}/files.img.dumped`)) throw malformed(backup);
      },
    );
    saveState(name, { ...loadState(name), suspended: true });
  },
});

function parse(backup: Backup): Processes {
  try {
    return v.parse(processesSchema, JSON.parse(backup.processes ?? ""));
  } catch {
    throw malformed(backup);
  }
}

const malformed = ({ manifest }: Backup): BerthError =>
  refused(
    `the processes in the checkpoint of ${manifest.name} are none that this berth can bring back`,
    "--disk-only restores its disk, to boot it",
  );
