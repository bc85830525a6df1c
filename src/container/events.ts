/** The log of events, which keepers write to as well (native/keeper_end.c): a line of JSON each. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { eventsPath } from "../base/paths.ts";

/** Appends one event of a container. */
export function appendEvent(
  event: string,
  container: string,
  fields: Readonly<Record<string, unknown>>,
): void {
  const line = JSON.stringify({ version: 1, time: Date.now(), event, container, ...fields });
  const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
  const fd = openSync(eventsPath(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
  try {
    writeSync(fd, `${line}\n`);
  } finally {
    closeSync(fd);
  }
}
