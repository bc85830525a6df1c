import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { testDirectory } from "../base/test-directory.ts";
import { backupFileName, removeOldBackups } from "./backup-keep.ts";

const dir = testDirectory("keep");

test("the oldest of the container's own go, and nothing else", () => {
  const at = (day: number) => new Date(Date.UTC(2026, 0, day, 6, 15));
  const days = [3, 1, 2, 4].map((day) => backupFileName("web", at(day), day === 2 ? "none" : "zstd"));
  expect(days[0]).toBe("web-20260103-061500.tar.zst");
  const others = [
    "web-1-20250101-000000.tar.zst",
    "web-20250101-000000-20250101-000000.tar.zst",
    "my-web-20250101-000000.tar.zst",
    "web-20250101-000000.tar.zst.sig",
    "web-20250101-000000.tar.bz2",
    "web-2025.tar.zst",
    "notes",
  ];
  for (const file of [...days, ...others]) writeFileSync(`${dir}/${file}`, "");
  mkdirSync(`${dir}/web-20200101-000000.tar`);
  symlinkSync("notes", `${dir}/web-20200102-000000.tar`);
  expect(removeOldBackups(dir, "web", 2)).toEqual(["web-20260101-061500.tar.zst", "web-20260102-061500.tar"]);
  expect(removeOldBackups(dir, "web", 2)).toEqual([]);
  expect(readdirSync(dir)).toHaveLength(others.length + 4);
});
