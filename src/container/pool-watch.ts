/**
 * Telling that the disk under a pool fails. No daemon watches: the first command that looks at containers notices, as for
 * soft limits, and writes one event for each container that lies there.
 */
import { rmSync } from "node:fs";
import { claim, claimant, makeDirs } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { warn } from "../base/warning.ts";
import { type DriverName, driverNames } from "../config/storage-drivers.ts";
import { poolAlarms } from "../storage/pool-health.ts";
import { appendEvent } from "./events.ts";

/** Goes with the host's boot: a disk that fails then is told of anew. */
const markOf = (driver: DriverName): string => `${instance.run}/.disk-fails-${driver}`;

/** Warns of every pool whose disk fails; `users` gives the containers on a driver, for the events. */
export function watchPools(users: (driver: DriverName) => readonly string[]): void {
  const alarms = poolAlarms();
  for (const { driver, device, faults } of alarms) {
    warn(
      `the disk under pool ${driver} fails (${device}): ${faults.join("; ")}. Its guests may have become read-only; \`berth pool check --driver ${driver}\` tells more`,
    );
    note(driver, true, users, { pool: driver, device, faults });
  }
  for (const driver of driverNames)
    if (!alarms.some((alarm) => alarm.driver === driver)) note(driver, false, users, { pool: driver });
}

function note(
  driver: DriverName,
  fails: boolean,
  users: (driver: DriverName) => readonly string[],
  fields: Readonly<Record<string, unknown>>,
): void {
  const mark = markOf(driver);
  if (fails === (claimant(mark) !== undefined)) return;
  try {
    makeDirs(instance.run, instance.log);
    if (!fails) rmSync(mark, { force: true });
    else if (!claim(mark, new Date().toISOString())) return; // another command was first
    for (const name of users(driver)) appendEvent(fails ? "disk-fails" : "disk-fails-end", name, fields);
  } catch {} // a host whose own disk fails must still be looked at
}
