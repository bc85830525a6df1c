import { exitCodes } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { obstaclesOf } from "../../checkpoint/checkable.ts";
import { openContainer } from "../../container/container.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";

export const command = defineCommand({
  name: "checkable",
  summary: "Say whether a running container can be suspended",
  description:
    "Looks at every process, descriptor, mount and namespace of the guest and names what CRIU could not write down, with what to do about it. Changes nothing. Exits with 0 when nothing stands in the way, else with 5.",
  arguments: [nameArgument],
  options: [],
  examples: [{ command: "berth checkable web1 && berth suspend web1", what: "Look first" }],
  seeAlso: ["suspend"],
  async run(context) {
    requireRoot();
    const container = await openContainer(context.arguments.name);
    const obstacles = await obstaclesOf(container);
    context.out.result({ checkable: obstacles.length === 0, obstacles }, () =>
      obstacles.length === 0
        ? `${container.name}: nothing stands in the way`
        : renderTable(
            [
              {
                title: "process",
                cell: ({ pid, process }) => (pid === undefined ? "-" : `${pid} ${process}`),
              },
              { title: "unit", cell: ({ unit }) => unit },
              { title: "what", cell: ({ what }) => what },
              { title: "cure", shrinks: true, cell: ({ cure }) => cure },
            ],
            obstacles,
          ),
    );
    return obstacles.length === 0 ? exitCodes.ok : exitCodes.wrongState;
  },
});
