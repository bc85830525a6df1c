import { openByName } from "../../container/container.ts";
import { containerNames } from "../../container/name.ts";
import { type CountedRefusal, refusalsOf } from "../../container/refusals.ts";
import { loadConfigLeniently } from "../../container/store.ts";
import { refusalLogFault } from "../../kernel/refusal-log.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";

const render = (refusals: readonly CountedRefusal[]): string =>
  refusals.length === 0
    ? "the kernel's log holds no refusal"
    : renderTable(
        [
          { title: "last", cell: ({ last }) => new Date(last).toISOString().replace(/\.\d+Z$/, "Z") },
          { title: "container", cell: ({ container }) => container },
          { title: "by", cell: ({ by }) => by },
          { title: "what", cell: ({ what }) => what },
          { title: "of", shrinks: true, cell: ({ object }) => object },
          { title: "program", cell: ({ program }) => program },
          { title: "count", align: "right", cell: ({ count }) => count },
        ],
        refusals,
      );

export const command = defineCommand({
  name: "security log",
  summary: "Show what containers were refused",
  description:
    "Names the system calls that a filter refused and the accesses that AppArmor denied, as far as the kernel's log still has them. Refused calls are logged where the setting seccomp.log says so, from the container's next start on; a kernel logs a few records a second at most, so counts are the least there were.",
  arguments: [
    { name: "name", kind: "container", optional: true, summary: "The container; all of them when absent" },
  ],
  options: [],
  examples: [
    { command: "berth security log web1", what: "Which calls and files web1 was refused" },
    {
      command: "berth set web1 --seccomp-log true",
      what: "Have the kernel log its calls from its next start on",
    },
  ],
  seeAlso: ["info", "check", "set"],
  async run(context) {
    const { name } = context.arguments;
    const names = name === undefined ? containerNames() : [await openByName(name)];
    const fault = refusalLogFault();
    const notLogged = names.filter((one) => !loadConfigLeniently(one).seccomp.log);
    const warn = (text: string): void => context.progress.emit({ type: "warning", text });
    if (fault !== undefined) warn(`${fault.why}; ${fault.cure}`);
    if (name !== undefined && notLogged.length > 0)
      warn(
        `refused calls of ${name} are not logged; \`berth set ${name} --seccomp-log true\`, and restart it`,
      );
    const refusals = refusalsOf(names);
    context.out.result({ refusals, notLogged, fault: fault ?? null }, () => render(refusals));
  },
});
