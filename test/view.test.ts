/** `berth-launch view` as such: roots that no driver makes yet, and its failures. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { resolve } from "node:path";
import { encodePlan, type Plan } from "../src/kernel/plan.ts";

const launcher = resolve(import.meta.dir, "../dist/berth-launch");
let dir: string;
beforeAll(() => {
  dir = mkdtempSync("/tmp/t-berth-view-");
  for (const part of ["run", "mnt", "layer"]) mkdirSync(`${dir}/${part}`);
  writeFileSync(`${dir}/layer/file`, "text");
  chownSync(`${dir}/layer`, 300_000, 300_000);
  chownSync(`${dir}/layer/file`, 300_007, 300_008);
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Runs the verb, and `look` with what it says while it stays; gives its exit code. */
async function view(records: Plan, look: (status: string) => void): Promise<number> {
  const lock = openSync(`${dir}/lock`, "w");
  const plan: Plan = [["name", "t"], ["rundir", `${dir}/run`], ["scratch", `${dir}/mnt`], ...records];
  const child = Bun.spawn([launcher, "view"], {
    stdio: [encodePlan(plan), "pipe", "inherit", lock, "pipe"],
  });
  closeSync(lock);
  const { value } = await child.stdout.getReader().read();
  try {
    look(Buffer.from(value ?? []).toString());
  } finally {
    if (typeof child.stdio[4] === "number") closeSync(child.stdio[4]);
  }
  return await child.exited;
}

const rootOf = (status: string): string => {
  const [word, pid, fd] = status.trim().split(" ");
  expect(word).toBe("ok");
  return `/proc/${pid}/fd/${fd}`;
};

const owners = (root: string): number[] =>
  [root, `${root}/file`].map((path) => statSync(path)).flatMap(({ uid, gid }) => [uid, gid]);

describe("a layer frozen under another container's ids", () => {
  const bind = ["bind", "l1", "", "ro", "shift=300000"] as const;
  const records = (): Plan => [
    [bind[0], bind[1], `${dir}/layer`, bind[3], bind[4]],
    ["rootBind", "@l1"],
  ];
  test("shows as the guest's own", async () => {
    const maps: Plan = [
      ["idmap", "u", 0, 500_000, 65536],
      ["idmap", "g", 0, 600_000, 65536],
    ];
    const code = await view([...maps, ...records()], (status) =>
      expect(owners(rootOf(status))).toEqual([500_000, 600_000, 500_007, 600_008]),
    );
    expect(code).toBe(0);
  });
  test("shows as root's for a guest without a user namespace", async () => {
    await view(records(), (status) => expect(owners(rootOf(status))).toEqual([0, 0, 7, 8]));
  });
});

test("what it cannot do it says in one line", async () => {
  const code = await view(
    [
      ["bind", "l1", `${dir}/layer`, "shift=x"],
      ["rootBind", "@l1"],
    ],
    (status) => expect(status).toBe("error bind 22 shift=x\n"),
  );
  expect(code).toBe(1);
});
