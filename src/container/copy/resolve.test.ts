import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { hostSide, mustBelongToGuest, mustBeOrdinary, nameOfSource, openTarget } from "./resolve.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync("/tmp/t-berth-copy-");
});
afterAll(() => rmSync(dir, { recursive: true }));

function onFd(path: string, work: (fd: number) => void): void {
  const fd = openSync(path, "r");
  try {
    work(fd);
  } finally {
    closeSync(fd);
  }
}

test("only file systems for files", () => {
  onFd(dir, (fd) => mustBeOrdinary(fd, dir));
  for (const path of ["/proc/version", "/sys/kernel", "/dev/pts"])
    onFd(path, (fd) =>
      expect(() => mustBeOrdinary(fd, path)).toThrow(`${path}: it is not on a file system for files`),
    );
});

test("only directories of the guest's own ids", () => {
  const root = (baseUid: number) => ({ fd: -1, name: "web1", baseUid, check: () => {} });
  const own = process.geteuid?.() ?? 0;
  onFd(dir, (fd) => {
    mustBelongToGuest(fd, root(own), dir);
    expect(() => mustBelongToGuest(fd, root(own + 1), dir)).toThrow("belongs to nobody in the container");
  });
});

test("a target is a directory that is there, or a new name in one", () => {
  const into = openTarget(hostSide, dir, false);
  expect(into.name).toBeUndefined();
  const renamed = openTarget(hostSide, `${dir}/new`, true);
  expect(renamed.name).toBe("new");
  for (const { dir: fd } of [into, renamed]) closeSync(fd);
  for (const path of [`${dir}/new/`, `${dir}/none/new`, `${dir}/none/..`])
    expect(() => openTarget(hostSide, path, true)).toThrow("no such file or directory");
  expect(() => openTarget(hostSide, `${dir}/new`, false)).toThrow("no such file or directory");
});

test("a source has a name of its own", () => {
  expect(nameOfSource("/etc/passwd", "web1")).toBe("passwd");
  expect(nameOfSource("dir/", "web1")).toBe("dir");
  expect(nameOfSource("/", "web1")).toBe("web1");
  for (const path of [".", "a/..", "/."]) expect(() => nameOfSource(path, "web1")).toThrow("name of its own");
});
