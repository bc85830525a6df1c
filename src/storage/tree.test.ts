import { beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { testDirectory } from "../base/test-directory.ts";
import { runProgram } from "../kernel/run.ts";
import { setXattr, xattrsOf } from "../kernel/xattr.ts";
import { digestTree } from "./digest.ts";
import { initKindOf } from "./init-kind.ts";
import { polishTree } from "./polish.ts";
import { stripTree } from "./strip.ts";
import { isRoot } from "./testing.ts";
import { list, makeDir, readText, remove, withTree, writeFile, writeLink } from "./tree.ts";

const apt = { sourcesName: "debian", sources: "Types: deb\n", conf: "" };
const status = "Package: systemd\nStatus: install ok installed\nVersion: 257.9-1\n";

describe.skipIf(!isRoot)("trees", () => {
  const base = testDirectory("storage");
  const tree = `${base}/tree`;
  const outside = `${base}/outside`;
  beforeEach(() => {
    rmSync(base, { recursive: true, force: true });
    for (const dir of [tree, outside, `${tree}/etc`]) mkdirSync(dir, { recursive: true });
    writeFileSync(`${outside}/passwd`, "the host's");
  });

  const digest = async () => (await digestTree(tree)).digest;
  const nod = (path: string, ...args: string[]) =>
    runProgram(["mknod", path, ...args], { package: "coreutils" });

  test("the digest says the same of the same tree, whenever it was made", async () => {
    writeFileSync(`${tree}/a`, "x");
    const first = await digestTree(tree);
    expect(first).toMatchObject({ size: 1, entries: 2 });
    rmSync(`${tree}/a`);
    writeFileSync(`${tree}/a`, "x");
    expect(await digestTree(tree)).toEqual(first);
  });

  test("the digest changes with each thing that it covers", async () => {
    const seen = new Set<string>();
    const changes: readonly (() => unknown)[] = [
      () => writeFileSync(`${tree}/a`, "x"),
      () => writeFileSync(`${tree}/a`, "y"),
      () => chmodSync(`${tree}/a`, 0o4755),
      () => chownSync(`${tree}/a`, 1, 0),
      () => chownSync(`${tree}/a`, 1, 1),
      () => setXattr(`${tree}/a`, { name: Buffer.from("user.k"), value: Buffer.from("v") }),
      () => setXattr(`${tree}/a`, { name: Buffer.from("user.k"), value: Buffer.from("w") }),
      () => symlinkSync("a", `${tree}/l`),
      () => {
        rmSync(`${tree}/l`);
        symlinkSync("b", `${tree}/l`);
      },
      () => mkdirSync(`${tree}/d`),
      () => writeFileSync(Buffer.from(`${tree}/\xff\xfe`, "latin1"), ""),
      () => chmodSync(tree, 0o700),
      () => nod(`${tree}/n`, "c", "1", "3"),
      () => writeFileSync(`${tree}/large`, Buffer.alloc(3 << 20, 1)),
    ];
    seen.add(await digest());
    for (const change of changes) {
      await change();
      seen.add(await digest());
    }
    expect(seen.size).toBe(changes.length + 1);
  });

  test("moving bytes from one field to the next does not go unseen", async () => {
    writeFileSync(`${tree}/ab`, "c");
    const first = await digest();
    rmSync(`${tree}/ab`);
    writeFileSync(`${tree}/a`, "bc");
    expect(await digest()).not.toBe(first);
  });

  test("stripping removes nodes, fifos and sockets, empties /dev and keeps the rest", async () => {
    mkdirSync(`${tree}/dev`);
    await nod(`${tree}/dev/null`, "c", "1", "3");
    await nod(`${tree}/etc/disk`, "b", "8", "0");
    await nod(`${tree}/etc/fifo`, "p");
    writeFileSync(`${tree}/etc/suid`, "");
    chmodSync(`${tree}/etc/suid`, 0o4755);
    symlinkSync("/etc/passwd", `${tree}/dev/link`);
    expect(stripTree(tree)).toEqual({ nodes: 3, copies: 0 });
    expect(readdirSync(`${tree}/dev`).sort()).toEqual(["mqueue", "pts", "shm"]);
    expect(readdirSync(`${tree}/etc`)).toEqual(["suid"]);
    expect(lstatSync(`${tree}/etc/suid`).mode & 0o7777).toBe(0o4755);
  });

  test("a /dev that is a link is replaced, not followed", () => {
    symlinkSync(outside, `${tree}/dev`);
    stripTree(tree);
    expect(lstatSync(`${tree}/dev`).isDirectory()).toBe(true);
    expect(readdirSync(outside)).toEqual(["passwd"]);
  });

  test("hard links become copies with owner, mode, attributes and times, even those from outside", async () => {
    writeFileSync(`${tree}/a`, "same");
    chownSync(`${tree}/a`, 3, 4);
    chmodSync(`${tree}/a`, 0o4711);
    const capability = { name: Buffer.from("user.k"), value: Buffer.from("v") };
    setXattr(`${tree}/a`, capability);
    for (const name of ["b", "c"]) linkSync(`${tree}/a`, `${tree}/${name}`);
    linkSync(`${outside}/passwd`, `${tree}/p`);
    const before = await digest();
    expect(stripTree(tree).copies).toBe(3);
    for (const name of ["a", "b", "c", "p"]) expect(lstatSync(`${tree}/${name}`).nlink).toBe(1);
    expect(lstatSync(`${tree}/c`)).toMatchObject({ uid: 3, gid: 4, mode: 0o104711 });
    expect(xattrsOf(`${tree}/b`)).toEqual([capability]);
    rmSync(`${tree}/dev`, { recursive: true });
    expect(await digest()).toBe(before);
  });

  test("writes make directories, replace links and hard links, and never follow", () => {
    symlinkSync(`${outside}/passwd`, `${tree}/etc/link`);
    linkSync(`${outside}/passwd`, `${tree}/etc/hard`);
    withTree(tree, (at) => {
      writeFile(at, "etc/link", "new");
      writeFile(at, "etc/hard", "new");
      writeFile(at, "etc/x/y/z", "new", 0o600);
      writeLink(at, "etc/x/l", "/etc/passwd");
      makeDir(at, "etc/t", 0o1777);
    });
    expect(readFileSync(`${outside}/passwd`, "utf8")).toBe("the host's");
    expect(readFileSync(`${tree}/etc/link`, "utf8")).toBe("new");
    expect(lstatSync(`${tree}/etc/x/y/z`).mode & 0o777).toBe(0o600);
    expect(lstatSync(`${tree}/etc/t`).mode & 0o7777).toBe(0o1777);
    expect(readlinkSync(`${tree}/etc/x/l`)).toBe("/etc/passwd");
  });

  test.each([["etc/d"], ["etc/d/sub"]])("a directory that is a link out is refused for %s", (path) => {
    symlinkSync(outside, `${tree}/etc/d`);
    mkdirSync(`${outside}/sub`);
    withTree(tree, (at) => {
      expect(() => writeFile(at, `${path}/file`, "x")).toThrow("symbolic link");
      expect(() => writeLink(at, `${path}/link`, "x")).toThrow("symbolic link");
      expect(() => makeDir(at, `${path}/dir`)).toThrow("symbolic link");
      expect(() => list(at, path)).toThrow("symbolic link");
      remove(at, "etc/d");
    });
    expect(readdirSync(outside).sort()).toEqual(["passwd", "sub"]);
    expect(existsSync(`${tree}/etc/d`)).toBe(false);
  });

  test("reading follows links inside the tree only", () => {
    writeFileSync(`${tree}/etc/real`, "inside");
    symlinkSync("/etc/real", `${tree}/etc/absolute`);
    symlinkSync("../../../../../etc/real", `${tree}/etc/up`);
    symlinkSync(`${outside}/passwd`, `${tree}/etc/out`);
    withTree(tree, (at) => {
      expect(readText(at, "etc/absolute")).toBe("inside");
      expect(readText(at, "etc/up")).toBe("inside");
      expect(readText(at, "etc/out")).toBeUndefined();
      expect(readText(at, "etc")).toBeUndefined();
    });
  });

  test("polishing twice gives the same tree", async () => {
    mkdirSync(`${tree}/var/lib/dpkg`, { recursive: true });
    writeFileSync(`${tree}/var/lib/dpkg/status`, status);
    withTree(tree, (at) => polishTree(at, apt));
    const once = await digest();
    withTree(tree, (at) => polishTree(at, apt));
    expect(await digest()).toBe(once);
    expect(readlinkSync(`${tree}/etc/systemd/system/dev-hugepages.mount`)).toBe("/dev/null");
    expect(readFileSync(`${tree}/etc/machine-id`, "utf8")).toBe("");
  });

  test("polishing gives each systemd the settings it knows", () => {
    const dropIn = (): string => readFileSync(`${tree}/etc/systemd/system/service.d/50-berth.conf`, "utf8");
    mkdirSync(`${tree}/var/lib/dpkg`, { recursive: true });
    for (const [version, memory, pids] of [
      ["252.39-1~deb12u1", false, false],
      ["255.4-1ubuntu8", true, false],
      ["257.9-1", true, true],
    ] as const) {
      writeFileSync(`${tree}/var/lib/dpkg/status`, status.replace("257.9-1", version));
      withTree(tree, (at) => polishTree(at, apt));
      expect(dropIn().includes("MemoryPressureWatch=off")).toBe(memory);
      expect(dropIn().includes("PrivatePIDs=no")).toBe(pids);
    }
  });

  test("polishing a hostile tree changes nothing outside of it", () => {
    mkdirSync(`${tree}/etc/ssh`);
    symlinkSync(`${outside}/passwd`, `${tree}/etc/machine-id`);
    symlinkSync(`${outside}/passwd`, `${tree}/etc/hosts`);
    symlinkSync(`${outside}/passwd`, `${tree}/etc/ssh/ssh_host_rsa_key`);
    mkdirSync(`${tree}/etc/systemd`);
    symlinkSync(outside, `${tree}/etc/systemd/system`);
    withTree(tree, (at) => expect(() => polishTree(at, apt)).toThrow("symbolic link"));
    expect(readdirSync(outside)).toEqual(["passwd"]);
    expect(readFileSync(`${outside}/passwd`, "utf8")).toBe("the host's");
  });

  test.each([
    ["systemd", "/lib/systemd/systemd", "usr/lib/systemd/systemd", "systemd"],
    ["busybox", "/bin/busybox", "bin/busybox", "busybox"],
    ["openrc", "openrc-init", "sbin/openrc-init", "openrc"],
    ["a link out", "/../../../../etc/passwd", undefined, "other"],
  ])("init is told: %s", (_, target, file, kind) => {
    for (const dir of ["sbin", "bin", "usr/lib/systemd"]) mkdirSync(`${tree}/${dir}`, { recursive: true });
    symlinkSync("usr/lib", `${tree}/lib`);
    if (file !== undefined) writeFileSync(`${tree}/${file}`, "");
    symlinkSync(target, `${tree}/sbin/init`);
    expect<string>(withTree(tree, initKindOf)).toBe(kind);
  });

  test("a plain /sbin/init with an inittab is sysvinit's", () => {
    mkdirSync(`${tree}/sbin`);
    writeFileSync(`${tree}/sbin/init`, "");
    expect(withTree(tree, initKindOf)).toBe("other");
    writeFileSync(`${tree}/etc/inittab`, "");
    expect(withTree(tree, initKindOf)).toBe("sysvinit");
  });
});
