/** A container as --json shows it: sizes in bytes, times in seconds, null for what there is not. */
import { describeExit } from "../container/status.ts";
import type { View } from "../container/view.ts";
import { swapOf } from "../resources/limits.ts";

/** "running", "frozen", "stopped", or "suspended": stopped, with its processes in a checkpoint. */
export const stateWord = (status: View["status"], state: View["state"]): string =>
  status.state === "stopped" && state.suspended ? "suspended" : status.state;

export function viewData({ name, config, state, status, usage, disk, mounted, uptime }: View) {
  const running = status.state !== "stopped";
  return {
    name,
    state: stateWord(status, state),
    unattended: running && status.unattended,
    mounted,
    pid: running ? status.init.pid : null,
    uuid: state.uuid,
    ctid: config.ctid ?? null,
    address: state.address?.split("/")[0] ?? null,
    mac: state.mac,
    template: { name: config.template, digest: state.template },
    storage: state.storage,
    layers: state.layers,
    baseUid: state.baseUid,
    privileged: config.privileged,
    mounts: config.mounts,
    created: state.created,
    uptime: uptime ?? null,
    limits: {
      memory: config.memory ?? null,
      swap: swapOf(config) ?? null,
      cpus: config.cpus ?? null,
      cpuWeight: config["cpu-weight"] ?? null,
      pids: config.pids ?? null,
      disk: config.disk ?? null,
      inodes: config.inodes ?? null,
      diskSoft: config["disk-soft"] ?? null,
      inodesSoft: config["inodes-soft"] ?? null,
    },
    usage:
      usage === undefined
        ? null
        : {
            memory: usage.memory ?? null,
            swap: usage.swap ?? null,
            cpuSeconds: usage.cpuSeconds ?? null,
            pids: usage.pids ?? null,
            oomKills: usage.oomKills ?? null,
          },
    disk: disk ?? null,
    lastExit:
      running || status.exit === undefined ? null : { ...status.exit, text: describeExit(status.exit) },
  };
}
