import { BerthError } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { requireRoot } from "../../base/root.ts";
import { type LockedContainer, withContainer } from "../../container/container.ts";
import { inheritedLock } from "../../container/lock.ts";
import { restartByKeeper } from "../../container/reboot.ts";
import { startContainer } from "../../container/start.ts";
import { statusOf } from "../../container/status.ts";
import { loadState } from "../../container/store.ts";
import { discardCheckpoint } from "../../container/suspended.ts";
import { namesArgument, namesOf, warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "start",
  summary: "Start containers",
  description:
    "Returns when each guest's init runs; the guest then boots on. A suspended container goes on where it was, as by `berth resume`. `--all` starts those that are stopped or suspended.",
  arguments: [namesArgument],
  options: [
    {
      name: "fresh",
      kind: "flag",
      summary: "Boot a suspended container anew: what it was doing is given up",
    },
    {
      name: "by-keeper",
      kind: "flag",
      summary: "The guest rebooted itself: said by its keeper, never by you",
    },
  ],
  examples: [
    { command: "berth start web1 db1", what: "Start two" },
    { command: "berth start --all", what: "Start all that are stopped" },
  ],
  seeAlso: ["stop", "restart", "log", "console"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => statusOf(name).state === "stopped");
    if (context.options["by-keeper"]) return await byKeeper(names[0] ?? "");
    return await eachName(
      context,
      names,
      (name) => withContainer(name, (container) => startOrResume(container, context, warnTo(context))),
      {
        render: (name, { resumed }) =>
          context.quiet ? undefined : `${name}: ${resumed ? "resumed" : "started"}`,
      },
    );
  },
});

/** The rooms below know nothing of CRIU: it is decided here that a suspended container is resumed. */
async function startOrResume(
  container: LockedContainer,
  context: { readonly options: { readonly fresh: boolean }; readonly progress: Progress },
  note: (text: string) => void,
): Promise<{ pid: number; resumed: boolean }> {
  const { name, state } = container;
  if (!state.suspended) return { pid: await startContainer(container, note), resumed: false };
  if (!context.options.fresh) {
    const { resumeContainer } = await import("../../checkpoint/resume.ts");
    return { pid: (await resumeContainer(container, context.progress)).pid, resumed: true };
  }
  discardCheckpoint(name);
  const fresh = { ...container, state: loadState(name) };
  return { pid: await startContainer(fresh, note), resumed: false };
}

/** The keeper holds the container's lock and passes it on; nobody else may come in between. */
async function byKeeper(name: string): Promise<number> {
  const lock = inheritedLock(name);
  if (lock === undefined)
    throw new BerthError(
      "usage.bad-argument",
      "--by-keeper is said by a keeper alone",
      `berth start ${name}`,
    );
  await restartByKeeper(lock);
  return 0;
}
