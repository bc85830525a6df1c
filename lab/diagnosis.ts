/** What a host in trouble can still tell: journal, serial console, QEMU's own words. */
import type { Agent } from "./agent.ts";
import { limits } from "./deadline.ts";
import { type Evidence, labError, tail } from "./error.ts";
import { execute } from "./exec.ts";

export interface Logs {
  readonly serialLog: string;
  readonly errorLog: string;
}

/** The last lines of the host's journal. */
export async function readJournal(agent: Agent, lines: number): Promise<string> {
  const argv = ["journalctl", "--no-pager", "--quiet", "-o", "short-precise", "-n", `${lines}`];
  const result = await execute(agent, argv, { timeout: limits.evidence });
  if (result.late) throw labError("the host does not answer");
  return result.stdout;
}

/** Journal and console; without an agent (it is silent already) no time is lost on the journal. */
export async function evidence(
  name: string,
  logs: Logs,
  agent: Agent | undefined,
): Promise<readonly Evidence[]> {
  const journal = agent
    ? await readJournal(agent, 40).catch((error: Error) => `not to be had: ${error.message}`)
    : "not to be had: no answer";
  const [serial, qemu] = await Promise.all([Bun.file(logs.serialLog).text(), Bun.file(logs.errorLog).text()]);
  return [
    { title: `${name}: journal`, text: journal },
    { title: `${name}: serial console`, text: tail(serial, 40) },
    ...(qemu.trim() ? [{ title: `${name}: QEMU`, text: tail(qemu, 20) }] : []),
  ];
}
