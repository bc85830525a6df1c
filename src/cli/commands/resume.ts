import { requireRoot } from "../../base/root.ts";
import { resumeContainer } from "../../checkpoint/resume.ts";
import { withContainer } from "../../container/container.ts";
import { loadState } from "../../container/store.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "resume",
  summary: "Let suspended containers go on where they were",
  description:
    "Processes, memory, open files and connections are as they were; the wall clock is right, the guest's own uptime goes on. A guest that cannot be brought back stays suspended. `--all` resumes those that are suspended.",
  arguments: [namesArgument],
  options: [],
  examples: [
    { command: "berth resume web1", what: "Go on" },
    { command: "berth start --fresh web1", what: "Boot it instead, giving up what it was doing" },
  ],
  seeAlso: ["suspend", "start"],
  async run(context) {
    requireRoot();
    const names = namesOf(context, (name) => loadState(name).suspended);
    return await eachName(
      context,
      names,
      (name) => withContainer(name, (container) => resumeContainer(container, context.progress)),
      { render: (name) => (context.quiet ? undefined : `${name}: resumed`) },
    );
  },
});
