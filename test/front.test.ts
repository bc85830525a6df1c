/** dist/berth, the native front: what it does itself, and what it leaves to berth-cli. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { berthBinary, newWorld, type Result, run, type World } from "./support/world.ts";

let world: World;
let front: (...words: readonly string[]) => Promise<Result>;

beforeAll(async () => {
  world = await newWorld("busybox");
  await world.ok("create", "t-front", "-t", "busybox", "--network", "none", "--start");
  const dir = `${world.root}/alone`;
  mkdirSync(dir);
  copyFileSync(berthBinary, `${dir}/berth`);
  writeFileSync(`${dir}/berth-cli`, "#!/bin/sh\necho cli $0 $*\necho jit $BUN_JSC_useBaselineJIT >&2\n");
  for (const name of ["berth", "berth-cli"]) chmodSync(`${dir}/${name}`, 0o755);
  front = (...words) => run([`${dir}/berth`, ...words], { env: world.env });
});
afterAll(async () => await world.end());

test("a plain exec needs no berth-cli; words, exit code and signal are the command's", async () => {
  expect((await front("exec", "t-front", "echo", "a b", "--json")).stdout).toBe("a b --json\n");
  expect((await front("exec", "t-front", "--", "sh", "-c", "exit 126")).code).toBe(126);
  expect((await front("exec", "t-front", "sh", "-c", "kill -9 $$")).code).toBe(137);
});

test("anything else is berth-cli's", async () => {
  const left = [
    ["ls"],
    ["exec"],
    ["exec", "t-front"],
    ["exec", "t-front", "--"],
    ["exec", "--user", "root", "t-front", "true"],
    ["exec", "../t-front", "true"],
    ["exec", "t-none", "true"],
    ["exec", "t-front", "no-such-program"],
  ];
  for (const words of left) {
    const { stdout } = await front(...words);
    expect(stdout).toStartWith("cli ");
    expect(stdout).toEndWith(` ${words.join(" ")}\n`);
  }
});

test("the engine starts without its compilers where they would not pay", async () => {
  expect((await front("info", "t-front")).stderr).toBe("jit 0\n");
  expect((await front("backup", "t-front", "FILE")).stderr).toBe("jit\n");
});

test("a frozen guest and a stopped one are berth-cli's", async () => {
  await world.ok("freeze", "t-front");
  expect((await front("exec", "t-front", "true")).stdout).toStartWith("cli ");
  await world.ok("thaw", "t-front");
  expect((await front("exec", "t-front", "true")).stdout).toBe("");
  await world.ok("stop", "--kill", "t-front");
  expect((await front("exec", "t-front", "true")).stdout).toStartWith("cli ");
});
