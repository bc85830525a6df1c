import { expect, test } from "bun:test";
import { candidatePaths } from "./binaries.ts";

test("beside the built program, then in libexec of where it is installed", () => {
  expect(candidatePaths("berth-launch", "/usr/local/bin/berth", "/$bunfs/root")).toEqual([
    "/usr/local/bin/berth-launch",
    "/usr/local/libexec/berth/berth-launch",
  ]);
});

test("in dist/ of the sources that bun runs", () => {
  expect(candidatePaths("berth-seccomp", "/p/node_modules/bun/bin/bun.exe", "/p/src/kernel")).toEqual([
    "/p/dist/berth-seccomp",
  ]);
});
