/** What `berth audit --json` says, and a way to take a layer from a guest behind berth's back. */
import { readFileSync, writeFileSync } from "node:fs";
import { type Op, ops } from "../../src/kernel/plan.ts";
import type { World } from "./world.ts";

export type Finding = {
  readonly id: string;
  readonly where: "guest" | "sandbox" | "host";
  readonly root: string;
  readonly user?: string;
  readonly cve: string;
  readonly what: string;
  readonly control: string;
  readonly answer: { readonly errno: number; readonly detail: string };
  readonly layers: readonly string[];
};

export type Audit = {
  readonly container: string;
  readonly privileged: boolean;
  readonly contained: boolean;
  readonly summary: Readonly<Record<"blocked" | "through" | "absent" | "lost", number>>;
  readonly notes: readonly string[];
  readonly findings: readonly Finding[];
};

/** Runs the audit; its exit code tells what its document does. */
export async function audit(
  world: World,
  name: string,
  ...only: readonly string[]
): Promise<Audit & { code: number }> {
  const words = only.flatMap((id) => ["--only", id]);
  const { code, stdout, stderr } = await world.berth("audit", name, ...words, "--json");
  if (stdout === "") throw new Error(`audit ${name}: exit code ${code}\n${stderr}`);
  return { ...(JSON.parse(stdout) as Audit), code };
}

/** The verdicts by attempt, root's. */
export const byId = ({ findings }: Pick<Audit, "findings">): Record<string, string> =>
  Object.fromEntries(findings.map(({ id, root }) => [id, root]));

const HEADER = 24;

/**
 * Writes the running guest's attach plan anew without a record, or without a word of one: what exec then runs lacks that layer.
 * No setting does this; the guest's init keeps its own confinement.
 */
export function withoutLayer(world: World, name: string, op: Op, word?: string): void {
  const file = `${world.at.run}/${name}/attach`;
  const plan = readFileSync(file);
  const records: Buffer[] = [];
  for (let at = HEADER; at < plan.length; ) {
    const size = 8 + plan.readUInt32LE(at + 4);
    const record = plan.subarray(at, at + size);
    if (record.readUInt16LE(0) !== ops[op]) records.push(record);
    else if (word !== undefined) records.push(withoutWord(record, word));
    at += size;
  }
  const header = Buffer.from(plan.subarray(0, HEADER));
  header.writeUInt32LE(HEADER + records.reduce((sum, { length }) => sum + length, 0), 12);
  header.writeUInt32LE(records.length, 16);
  writeFileSync(file, Buffer.concat([header, ...records]));
}

function withoutWord(record: Buffer, word: string): Buffer {
  const words: Buffer[] = [];
  for (let at = 8; at < record.length; ) {
    const size = 4 + record.readUInt32LE(at) + 1;
    const argument = record.subarray(at, at + size);
    if (argument.subarray(4, size - 1).toString() !== word) words.push(argument);
    at += size;
  }
  const header = Buffer.from(record.subarray(0, 8));
  header.writeUInt16LE(words.length, 2);
  header.writeUInt32LE(
    words.reduce((sum, { length }) => sum + length, 0),
    4,
  );
  return Buffer.concat([header, ...words]);
}
