import { expect, test } from "bun:test";
import type { Backup } from "../storage/archive/backup-reader.ts";
import { processTaker } from "./checkpoint-file.ts";
import { hostFacts } from "./host-facts.ts";

const record = {
  version: 1,
  dumped: 1,
  kernel: "6",
  criu: "4.2",
  console: "tty[8800:1f]",
  processes: 1,
  cgroups: [],
};
const described = (changes: object): Backup =>
  ({
    manifest: { name: "web1" },
    processes: JSON.stringify({ record, cgroup: "/berth/web1", host: hostFacts(), ...changes }),
  }) as unknown as Backup; // the rest is not looked at

const check = (backup: Backup) => processTaker(() => {}).check(backup);

test("processors without what the guest may use are refused by name", () => {
  const host = { ...hostFacts(), cpuFlags: ["t-vector"] };
  expect(check(described({ host }))).rejects.toThrow("lack t-vector");
});

test("what is no description of processes is refused", () => {
  for (const changes of [
    { cgroup: "/berth/../.." },
    { record: { ...record, console: "tty[0:0]:/etc/shadow" } },
    { record: { ...record, cgroups: [{ path: "/../x" }] } },
    { host: {} },
  ])
    expect(check(described(changes))).rejects.toThrow("none that this berth can bring back");
  expect(check({ ...described({}), processes: "{" })).rejects.toThrow("none that this berth");
});
