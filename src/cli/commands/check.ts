import { exitCodes } from "../../base/errors.ts";
import { checkCheckpoint } from "../../checkpoint/check.ts";
import { checkHost, type Finding } from "../../container/check.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";

const words: Record<Finding["verdict"], string> = { present: "ok", absent: "absent", missing: "MISSING" };

export const command = defineCommand({
  name: "check",
  summary: "Check what this host offers, layer by layer",
  description:
    "Names everything that berth builds on: present, absent (berth works without, and says what is lost), or missing (it must be there). Exits with 7 when something is missing.",
  arguments: [],
  options: [],
  examples: [
    { command: "berth check", what: "Every layer with what to do about it" },
    { command: "berth check --quiet && echo ready", what: "For a script" },
  ],
  seeAlso: ["info"],
  async run(context) {
    const findings = [...(await checkHost()), await checkCheckpoint()];
    const ok = findings.every(({ verdict }) => verdict !== "missing");
    if (!context.quiet || context.json) {
      context.out.result({ ok, findings }, () =>
        renderTable(
          [
            { title: "layer", cell: ({ layer }) => layer },
            {
              title: "verdict",
              cell: ({ verdict }) => words[verdict],
              colour: ({ verdict }) =>
                verdict === "present" ? "green" : verdict === "absent" ? "yellow" : "red",
            },
            { title: "what", cell: ({ detail }) => detail },
            {
              title: "cure",
              shrinks: true,
              cell: ({ verdict, cure }) => (verdict === "present" ? undefined : cure),
            },
          ],
          findings,
        ),
      );
    }
    return ok ? exitCodes.ok : exitCodes.hostLacks;
  },
});
