import { getSystemErrorName } from "node:util";
import { attemptIds, auditContainer, auditHost, notesOf } from "../../audit/audit.ts";
import { type Finding, isContained, summarise, type Verdict, worst } from "../../audit/verdict.ts";
import { closest } from "../../base/closest.ts";
import { BerthError, exitCodes } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { openContainer } from "../../container/container.ts";
import { defineCommand } from "../framework/command.ts";
import { type Colour, renderTable } from "../framework/table.ts";

const words: Record<Verdict, string> = {
  blocked: "blocked",
  through: "THROUGH",
  absent: "absent",
  lost: "LOST",
};

const colours: Record<Verdict, Colour> = { blocked: "green", through: "red", absent: "dim", lost: "red" };

const answerOf = ({ answer }: Finding): string =>
  answer.detail !== "" ? answer.detail : answer.errno === 0 ? "" : getSystemErrorName(-answer.errno);

const layersOf = ({ layers }: Finding): string => {
  const [first, ...others] = layers;
  return first === undefined ? "" : others.length === 0 ? first : `${first}; then ${others.join(", ")}`;
};

function table(findings: readonly Finding[], host: boolean): string {
  const colour = (finding: Finding): Colour | undefined =>
    host && finding.root === "through" ? "yellow" : colours[worst(finding)];
  return renderTable(
    [
      { title: "attempt", cell: ({ id }) => id, colour },
      { title: host ? "from the host" : "root", cell: ({ root }) => words[root], colour },
      ...(host
        ? []
        : [{ title: "user", cell: ({ user }: Finding) => (user === undefined ? "" : words[user]) }]),
      ...(host ? [] : [{ title: "stopped by", cell: layersOf, shrinks: true }]),
      { title: "what", cell: ({ what }) => what, shrinks: true },
      {
        title: "answer",
        cell: (finding) => (finding.root === "through" ? "" : answerOf(finding)),
        shrinks: true,
      },
      { title: "CVE", cell: ({ cve }) => cve },
    ],
    findings,
  );
}

function checkOnly(only: readonly string[]): void {
  const known = attemptIds();
  const wrong = only.find((id) => !known.includes(id));
  if (wrong === undefined) return;
  const nearest = closest(wrong, known);
  throw new BerthError(
    "usage.bad-argument",
    `there is no attempt ${JSON.stringify(wrong)}`,
    nearest === undefined ? "`berth audit --list` shows them all" : `did you mean ${nearest}?`,
  );
}

export const command = defineCommand({
  name: "audit",
  summary: "Try to break out of a container",
  description: [
    "Runs a small program of berth's own in the container, as its root and as a user, that tries what would hurt the host or a neighbour: the kernel's switches, modules, devices, the host's disks, processes, files, network, clock, limits. Masks are taken off first, in a mount namespace of the attacker's own. Every attempt takes a harmless form: what is opened is not written to, and system calls get arguments that are refused right behind the check of permission. The guest is not changed.",
    "Each attempt is held against a control: the same from the host without berth's layers. What does not work there either is absent: this host has no such thing. Which layers stop an attempt is found by trying it with each of them alone, in a guest of the audit's own; the outermost is named first. Symbolic links are laid where berth writes, mounts and runs something when it starts a guest.",
    "Exits with 1 when anything got through, or was lost. A privileged container is root on the host, and the audit says how. A guest that wants to deceive its auditor can: audit before you give one away.",
  ].join("\n\n"),
  arguments: [
    {
      name: "name",
      kind: "container",
      optional: true,
      summary: "The container, by name or ctid; it must run",
    },
  ],
  options: [
    {
      name: "only",
      kind: "string",
      value: "ATTEMPT",
      repeatable: true,
      summary: "Make this attempt only; may be repeated",
    },
    {
      name: "user",
      short: "u",
      kind: "string",
      value: "USER",
      default: "65534",
      summary: "Who the unprivileged attacker is",
    },
    { name: "list", kind: "flag", summary: "Show the attempts, and make none" },
    { name: "host", kind: "flag", summary: "Show the control instead: what is real on this host" },
  ],
  examples: [
    { command: "berth audit web1", what: "Everything, as root and as a user" },
    { command: "berth audit --host", what: "What works on this host where no layer stands before it" },
    { command: "berth audit web1 --only dmesg --only kcore --json", what: "Two attempts, for a script" },
  ],
  seeAlso: ["check", "info"],
  async run(context) {
    const { name } = context.arguments;
    const { only, user, list, host } = context.options;
    checkOnly(only);
    if (list) {
      const { listAttempts } = await import("../../audit/list.ts");
      context.out.result(listAttempts(), () =>
        renderTable(
          [
            { title: "attempt", cell: ({ id }) => id },
            { title: "what", cell: ({ what }) => what, shrinks: true },
            { title: "control", cell: ({ control }) => control, shrinks: true },
            { title: "CVE", cell: ({ cve }) => cve },
          ],
          listAttempts(),
        ),
      );
      return exitCodes.ok;
    }
    requireRoot();
    if (host === (name !== undefined))
      throw new BerthError(
        "usage.bad-argument",
        "name one container, or --host",
        "`berth ls` shows those there are",
      );
    if (name === undefined) {
      const findings = await auditHost(only, context.progress);
      context.out.result({ findings, summary: summarise(findings) }, () => table(findings, true));
      return exitCodes.ok;
    }
    const container = await openContainer(name);
    const findings = await auditContainer(container, { only, user: user ?? "65534" }, context.progress);
    const summary = summarise(findings);
    const contained = isContained(summary);
    const notes = notesOf(container);
    context.out.result(
      {
        container: container.name,
        privileged: container.config.privileged,
        contained,
        summary,
        notes,
        findings,
      },
      () =>
        [
          table(findings, false),
          `${findings.length} attempts: ${summary.blocked} blocked, ${summary.through} through, ${summary.absent} absent on this host${summary.lost > 0 ? `, ${summary.lost} lost` : ""}`,
          ...notes,
        ].join("\n"),
    );
    return contained ? exitCodes.ok : exitCodes.failed;
  },
});
