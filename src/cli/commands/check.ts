import { exitCodes } from "../../base/errors.ts";
import { checkCheckpoints } from "../../checkpoint/check.ts";
import { checkHost } from "../../container/check.ts";
import { defineCommand } from "../framework/command.ts";
import { renderTable } from "../framework/table.ts";
import { verdictColours, verdictWords } from "../verdicts.ts";

export const command = defineCommand({
  name: "check",
  summary: "Check what this host offers, layer by layer",
  description:
    "Names everything that berth builds on: present, absent (berth works without, and says what is lost), or missing (it must be there). Exits with 7 when something is missing; with --strict also when something is absent.",
  arguments: [],
  options: [{ name: "strict", kind: "flag", summary: "Exit with 7 for what is absent as well" }] as const,
  examples: [
    { command: "berth check", what: "Every layer with what to do about it" },
    { command: "berth check --quiet && echo ready", what: "For a script" },
  ],
  seeAlso: ["info"],
  async run(context) {
    const findings = [...(await checkHost()), ...(await checkCheckpoints())];
    const ok = findings.every(
      ({ verdict }) => verdict === "present" || (verdict === "absent" && context.options.strict !== true),
    );
    if (!context.quiet || context.json) {
      context.out.result({ ok, findings }, () =>
        renderTable(
          [
            { title: "layer", cell: ({ layer }) => layer },
            {
              title: "verdict",
              cell: ({ verdict }) => verdictWords[verdict],
              colour: ({ verdict }) => verdictColours[verdict],
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
