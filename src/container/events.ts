/** The events file: one JSON line for what happened to a container. The keeper writes the guest's end (native/keeper_end.c). */
import { appendFileSync } from "node:fs";
import { makeDirs } from "../base/files.ts";
import { eventsPath, instance } from "../base/paths.ts";

export function recordEvent(
  name: string,
  event: string,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  makeDirs(instance.log);
  const line = { version: 1, time: Date.now(), event, container: name, ...fields };
  appendFileSync(eventsPath(), `${JSON.stringify(line)}\n`, { mode: 0o600 });
}
