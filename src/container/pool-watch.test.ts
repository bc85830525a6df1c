import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { eventsPath, instance } from "../base/paths.ts";
import { testDirectory } from "../base/test-directory.ts";
import { onWarning } from "../base/warning.ts";
import { mustRun } from "../kernel/run.ts";
import { createPool, removePool } from "../storage/pool.ts";
import { poolRoot } from "../storage/pool-record.ts";
import { isRoot, useRoot } from "../storage/testing.ts";
import { watchPools } from "./pool-watch.ts";

const before = { ...instance };
const root = testDirectory("watch", () => isRoot && removePool("image"));
beforeAll(async () => {
  useRoot(root);
  if (isRoot)
    await createPool({ driver: "image", fileSystem: "ext4", place: { kind: "file", bytes: 64 << 20 } });
});
afterAll(() => void Object.assign(instance, before));

test.skipIf(!isRoot)(
  `a pool that has become read-only is told of: a warning each time, an event once and when it is over${isRoot ? "" : " SKIP: needs root"}`,
  async () => {
    const remount = (how: string) =>
      mustRun(["mount", "-o", `remount,${how}`, poolRoot("image")], { package: "mount" });
    const look = (): readonly string[] => {
      const warnings: string[] = [];
      onWarning((text) => warnings.push(text));
      watchPools((driver) => [`on-${driver}`]);
      return warnings;
    };
    const events = () =>
      readFileSync(eventsPath(), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { event: string; container: string });
    expect(look()).toEqual([]);
    await remount("ro");
    const named = [expect.stringMatching(/^the disk under pool image fails \(.*image\.img\): .*read-only/)];
    expect([look(), look()]).toEqual([named, named]);
    expect(events()).toMatchObject([{ event: "disk-fails", container: "on-image", pool: "image" }]);
    await remount("rw");
    expect([look(), look()]).toEqual([[], []]);
    expect(events().map(({ event }) => event)).toEqual(["disk-fails", "disk-fails-end"]);
  },
);
