/** Parts of the lab that need no host. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpioArchive, directoryMode, programMode } from "../cpio.ts";
import { within } from "../deadline.ts";
import { labError, tail } from "../error.ts";
import { debianMirror } from "../mirror.ts";

const scratch = mkdtempSync(join(tmpdir(), "t-lab-parts-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function aptDir(name: string, files: Readonly<Record<string, string>>): string {
  const dir = join(scratch, name);
  mkdirSync(join(dir, "sources.list.d"), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
  return dir;
}

test("the mirror is the machine's own: one-line sources, options and foreign archives passed over", () => {
  const foreign = "deb [arch=amd64] https://packages.example.org/apt stuff main\n";
  const debian =
    "# deb http://old/ bookworm main\ndeb [signed-by=/k.gpg] http://mirror/debian trixie main contrib\n";
  expect(debianMirror(aptDir("list", { "sources.list": foreign + debian }))).toBe("http://mirror/debian");
});

test("the mirror is the machine's own: deb822 sources, switched-off stanzas passed over", () => {
  const off = "Types: deb\nURIs: http://off/\nSuites: trixie\nComponents: main\nEnabled: no\n";
  const on =
    "# why\nTypes: deb deb-src\nURIs: http://mirror2/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n";
  const dir = aptDir("deb822", { "sources.list.d/debian.sources": `${off}\n${on}` });
  expect(debianMirror(dir)).toBe("http://mirror2/debian/");
});

test("the mirror is deb.debian.org on a machine that is no Debian", () => {
  const ubuntu = "deb http://archive.ubuntu.com/ubuntu noble main\n";
  expect(debianMirror(aptDir("ubuntu", { "sources.list": ubuntu }))).toBe("http://deb.debian.org/debian");
});

test("a cpio archive is one that cpio's own format describes: magic, 4-byte padding, trailer", () => {
  const archive = Buffer.from(
    cpioArchive([
      { path: "bin", mode: directoryMode },
      { path: "bin/x", mode: programMode, data: Buffer.from("12345") },
    ]),
  );
  expect(archive.length % 4).toBe(0);
  expect(archive.toString("latin1").match(/070701/g)).toHaveLength(3);
  expect(archive.indexOf("12345") % 4).toBe(0);
  expect(archive.includes("TRAILER!!!")).toBeTrue();
});

test("waiting ends at its limit, or with the value", async () => {
  expect(await within(1000, Promise.resolve(1), () => 2)).toBe(1);
  expect(
    await within<string>(
      10,
      Bun.sleep(1000).then(() => "done"),
      () => "late",
    ),
  ).toBe("late");
});

test("an error shows its evidence", () => {
  const error = labError("h1: true: exit code 1", [{ title: "console", text: "panic\n" }]);
  expect(error.message).toBe("h1: true: exit code 1\n--- console ---\npanic");
  expect(tail("a\nb\nc\n", 2)).toBe("b\nc");
});
