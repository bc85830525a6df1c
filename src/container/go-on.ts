/** A guest whose processes have been brought back goes on: it is heard again, and its init knows its services. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sendSignal } from "../kernel/process.ts";
import { connectGuest } from "./network.ts";
import { statusOf } from "./status.ts";

const SIGHUP = 1;

/** Raises its link, says that it is `heard`, and has its init look at its services anew where that is needed. */
export async function goOn(name: string, heard?: () => Promise<void>): Promise<void> {
  await connectGuest(name, heard);
  const status = statusOf(name);
  if (status.state !== "stopped" && knowsPidfds(status.init.pid)) sendSignal(status.init, SIGHUP);
}

/**
 * systemd from 256 on tells processes apart by their pidfds' inode numbers too (pidref.c), which no restore can give
 * back: it would take no word of theirs (sd_notify) any more, and kill at WatchdogSec= those that it thinks silent. A
 * reload has it look at the pidfds anew. Older ones hold none.
 */
function knowsPidfds(init: number): boolean {
  try {
    if (readFileSync(`/proc/${init}/comm`, "utf8").trim() !== "systemd") return false;
    const fds = `/proc/${init}/fd`;
    return readdirSync(fds).some((fd) => readlinkSync(`${fds}/${fd}`).includes("pidfd"));
  } catch {
    return false; // it has just ended, or closed one
  }
}
