import { beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, openSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { testDirectory } from "../../base/test-directory.ts";
import { readTar } from "../archive/tar-reader.ts";
import { chunksOf, tarOf } from "../archive/testing.ts";
import { isRoot } from "../testing.ts";
import { withTree } from "../tree.ts";
import { confined, confinedEnv } from "./confined.ts";
import { architectureOf, releaseOf } from "./facts.ts";
import { metadataOf, parseImageMetadata } from "./incus.ts";
import { guestInittab } from "./inittab.ts";
import { findLayout } from "./layout.ts";
import { packingOf } from "./packing.ts";
import { polishImported } from "./polish-import.ts";

const root = testDirectory("storage");
const tree = `${root}/tree`;
const outside = `${root}/outside`;
beforeEach(() => {
  rmSync(root, { recursive: true, force: true });
  for (const dir of [tree, outside]) mkdirSync(dir, { recursive: true });
});

const put = (path: string, content: string | Uint8Array = ""): void => {
  mkdirSync(`${tree}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
  writeFileSync(`${tree}/${path}`, content);
};

const elf = (machine: number): Uint8Array => {
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01", 0, "latin1");
  header.writeUInt16LE(machine, 18);
  return header;
};

describe("what a file is", () => {
  test.each([
    ["\x1f\x8b\x08", "tar", "gzip"],
    ["\xfd7zXZ\0\0", "tar", "xz"],
    ["\x28\xb5\x2f\xfd", "tar", "zstd"],
    ["BZh9", "tar", "bzip2"],
    ["hsqs", "squashfs", undefined],
    [tarOf({ name: "a" }).toString("latin1"), "tar", undefined],
  ])("is told by its content", (content, kind, compression) => {
    writeFileSync(`${root}/file`, content, "latin1");
    const packing = packingOf(openSync(`${root}/file`, "r"), "file");
    expect<unknown>([packing.kind, packing.compression]).toEqual([kind, compression]);
  });

  test.each([
    ["QFI\xfb", "archive.refused", "virtual machine"],
    ["PK\x03\x04", "archive.refused", "zip"],
    ["root:x:0:0", "archive.refused", "no archive that berth reads"],
    ["", "archive.damaged", "is empty"],
  ])("and said where it is none of ours", (content, code, words) => {
    writeFileSync(`${root}/file`, content, "latin1");
    const look = (): unknown => packingOf(openSync(`${root}/file`, "r"), "file");
    expect(look).toThrow(expect.objectContaining({ code, message: expect.stringContaining(words) }));
  });
});

test.skipIf(!isRoot)("programs that parse it have no rights, no network and bounded memory", async () => {
  const read = async (path: string): Promise<string> => {
    const child = Bun.spawn(confined("dd", [`if=${path}`]), { stderr: "ignore", env: confinedEnv });
    return await new Response(child.stdout).text();
  };
  const status = await read("/proc/self/status");
  expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
  for (const set of ["CapPrm", "CapEff", "CapBnd", "CapAmb"])
    expect(status).toContain(`${set}:\t0000000000000000`);
  expect(status).toContain("NoNewPrivs:\t1");
  expect((await read("/proc/self/net/dev")).trim().split("\n").length).toBe(3);
  expect(await read("/proc/self/limits")).toMatch(/^Max address space +2147483648 +2147483648/m);
  expect(await read("/etc/shadow")).toBe("");
});

describe("the metadata of an Incus image", () => {
  const text =
    "architecture: x86_64\ncreation_date: 1764000000\nproperties:\n  description: d\n  architecture: amd64\n";

  test("is read from its tarball, of which nothing is unpacked", async () => {
    const archive = tarOf(
      { name: "templates", type: "2", link: "/" },
      { name: "./metadata.yaml", content: text },
      { name: "../x" },
    );
    expect(await metadataOf(readTar(chunksOf(archive)))).toBe(text);
    expect(parseImageMetadata(text)).toEqual({
      architecture: "x86_64",
      description: "d",
      created: "2025-11-24T16:00:00.000Z",
    });
  });

  test("of a virtual machine, too large, or no YAML is refused", async () => {
    const refused = { code: "archive.refused" };
    for (const archive of [
      tarOf({ name: "rootfs.img" }),
      tarOf({ name: "metadata.yaml", content: Buffer.alloc((1 << 20) + 1, 32) }),
      tarOf({
        name: "metadata.yaml",
        content: "x",
        pax: { "GNU.sparse.map": "0,1", "GNU.sparse.size": "900000000000" },
      }),
    ])
      await expect(metadataOf(readTar(chunksOf(archive)))).rejects.toMatchObject(refused);
    expect(
      await metadataOf(readTar(chunksOf(tarOf({ name: "metadata.yaml", type: "2", link: "/x" })))),
    ).toBeUndefined();
    for (const yaml of ["", "[", "- a", "a: &x [1]\nb: [*x, *x]", "a: 1\n---\nb: 2"])
      expect(() => parseImageMetadata(yaml)).toThrow(expect.objectContaining(refused));
    expect(parseImageMetadata("architecture: [1]\ncreation_date: -5\nproperties: 3")).toEqual({
      architecture: undefined,
      description: undefined,
      created: undefined,
    });
  });
});

describe("where the root file system is", () => {
  const layout = (format: Parameters<typeof findLayout>[1] = "auto") =>
    withTree(tree, (at) => findLayout(at, format));

  test("at the top, or below rootfs/", () => {
    put("etc/os-release");
    expect(layout()).toEqual({ root: ".", metadata: undefined });
    expect(layout("openvz").root).toBe(".");
    expect(() => layout("incus")).toThrow("it is no Incus image");
    rmSync(`${tree}/etc`, { recursive: true });
    put("rootfs/etc/os-release");
    expect(layout()).toEqual({ root: "rootfs", metadata: undefined });
    expect(() => layout("tar")).toThrow("at the top");
    expect(() => layout("incus")).toThrow("metadata.yaml is not in it");
    put("metadata.yaml", "architecture: i686\n");
    expect(layout("incus")).toMatchObject({ root: "rootfs", metadata: { architecture: "i686" } });
  });

  test("never behind a link (CVE-2026-48749, CVE-2026-23954)", () => {
    mkdirSync(`${outside}/etc`);
    symlinkSync(outside, `${tree}/rootfs`);
    expect(() => layout()).toThrow("symbolic link");
    rmSync(`${tree}/rootfs`);
    put("rootfs/etc/x");
    writeFileSync(`${outside}/metadata`, "architecture: secret\n");
    symlinkSync(`${outside}/metadata`, `${tree}/metadata.yaml`);
    expect(() => layout()).toThrow("symbolic link");
  });

  test("nowhere in an empty archive or a virtual machine's", () => {
    expect(() => layout()).toThrow("no root file system in it");
    put("rootfs.img");
    expect(() => layout()).toThrow("virtual machine");
  });
});

describe("what a tree says of itself", () => {
  test.each([
    ["etc/os-release", 'ID="rocky"\nVERSION_ID="9.4"\n', "rocky", "9.4"],
    ["usr/lib/os-release", "ID=arch\n", "arch", ""],
    ["etc/redhat-release", "CentOS release 6.10 (Final)\n", "redhat", "6.10"],
    ["etc/debian_version", "7.11\n", "debian", "7.11"],
    ["etc/os-release", "ID=a\x1b[2J/..;b\nVERSION_ID=$(x)\n", "a2J..b", "x"],
    ["etc/nothing", "", "unknown", ""],
  ])("%s", (path, content, distribution, release) => {
    put(path, content);
    expect(withTree(tree, releaseOf)).toEqual({ distribution, release });
  });

  test("a description that is a link out, a circle or endless is none", () => {
    writeFileSync(`${outside}/release`, "ID=secret\n");
    put("etc/x");
    symlinkSync(`${outside}/release`, `${tree}/etc/os-release`);
    expect(withTree(tree, releaseOf).distribution).toBe("unknown");
    symlinkSync("centos-release", `${tree}/etc/centos-release`);
    expect(withTree(tree, releaseOf).distribution).toBe("unknown");
    put("usr/lib/os-release", "ID=endless\n");
    truncateSync(`${tree}/usr/lib/os-release`, 2 ** 40);
    expect(withTree(tree, releaseOf).distribution).toBe("unknown");
  });

  test("its programs tell the architecture, against what anybody says", () => {
    const arch = (said?: string): string => withTree(tree, (at) => architectureOf(at, said));
    const own = process.arch === "x64" ? "amd64" : "arm64";
    const foreign = process.arch === "x64" ? 183 : 62;
    expect(arch()).toBe(own);
    expect(() => arch("s390x")).toThrow('for "s390x"');
    put("usr/bin/dash", elf(foreign));
    mkdirSync(`${tree}/bin`);
    symlinkSync("/usr/bin/dash", `${tree}/bin/sh`);
    expect(() => arch()).toThrow("this host runs");
    expect(() => arch(own)).toThrow("this host runs");
    put("usr/bin/dash", elf(process.arch === "x64" ? 62 : 183));
    expect(arch()).toBe(own);
    symlinkSync("sh2", `${tree}/bin/sh3`);
    rmSync(`${tree}/bin/sh`);
    symlinkSync("sh", `${tree}/bin/sh`);
    expect(arch(process.arch === "x64" ? "i686" : own)).toBe(process.arch === "x64" ? "i386" : own);
  });
});

describe("making it a guest", () => {
  test("a sysvinit's inittab gets one login, on the console, and halts by SIGPWR; twice is once", () => {
    const text =
      "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n1:2345:respawn:/sbin/getty 38400 tty1\n#2:23:respawn:/sbin/getty 38400 tty2\npf::powerfail:/sbin/shutdown -f -h +2\n";
    const polished = guestInittab(text, "/sbin/getty 38400 console");
    expect(polished).toBe(
      "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n#2:23:respawn:/sbin/getty 38400 tty2\nco:2345:respawn:/sbin/getty 38400 console\npf::powerwait:/sbin/shutdown -h now\n",
    );
    expect(guestInittab(polished, "/sbin/getty 38400 console")).toBe(polished);
  });

  test("so does busybox's", () => {
    const text =
      "::sysinit:/sbin/openrc sysinit\ntty1::respawn:/sbin/getty 38400 tty1\n::ctrlaltdel:/sbin/reboot\n";
    const polished = guestInittab(text, "/sbin/getty 38400 console");
    expect(polished).toBe(
      "::sysinit:/sbin/openrc sysinit\n::ctrlaltdel:/sbin/reboot\nconsole::respawn:/sbin/getty 38400 console\n",
    );
    expect(guestInittab(polished, "/sbin/getty 38400 console")).toBe(polished);
  });

  test("an old Red Hat loses its addresses, ttys, host keys and ids, and nothing else", () => {
    put("etc/inittab", "id:3:initdefault:\n");
    put("etc/init/rc.conf", "rc");
    put("etc/init/start-ttys.conf");
    put("sbin/mingetty");
    put("sbin/init");
    put("etc/fstab", "/dev/sda1 / ext4\n");
    put("etc/ssh/ssh_host_key");
    put("etc/ssh/sshd_config", "keep");
    put("var/lib/dbus/machine-id", "id");
    put("etc/sysconfig/network-scripts/ifcfg-eth0", "BOOTPROTO=dhcp");
    put("etc/sysconfig/network-scripts/ifcfg-lo", "keep");
    expect(withTree(tree, polishImported)).toEqual([]);
    const read = (path: string): string => readFileSync(`${tree}/${path}`, "utf8");
    expect(read("etc/init/console.conf")).toContain("exec /sbin/mingetty console");
    expect(read("etc/init/power-status-changed.conf")).toContain("/sbin/shutdown -h now");
    expect(read("etc/fstab")).not.toContain("sda1");
    for (const gone of ["etc/ssh/ssh_host_key", "var/lib/dbus/machine-id", "etc/init/start-ttys.conf"])
      expect(() => read(gone)).toThrow();
    expect(() => read("etc/sysconfig/network-scripts/ifcfg-eth0")).toThrow();
    expect(read("etc/sysconfig/network-scripts/ifcfg-lo") + read("etc/ssh/sshd_config")).toBe("keepkeep");
  });

  test.skipIf(!isRoot)(
    "of a tree whose directories are links, what is outside stays as it is, and it is told",
    () => {
      for (const dir of ["systemd", "ssh", "network"]) mkdirSync(`${outside}/${dir}`, { recursive: true });
      writeFileSync(`${outside}/ssh/ssh_host_rsa_key`, "the host's");
      put("lib/systemd/systemd");
      put("sbin/x");
      symlinkSync("/lib/systemd/systemd", `${tree}/sbin/init`);
      mkdirSync(`${tree}/etc`);
      for (const dir of ["systemd", "ssh"]) symlinkSync(`${outside}/${dir}`, `${tree}/etc/${dir}`);
      const told = withTree(tree, polishImported);
      expect(told.length).toBeGreaterThan(2);
      expect(told.join()).toContain("symbolic link");
      expect(readFileSync(`${outside}/ssh/ssh_host_rsa_key`, "utf8")).toBe("the host's");
      expect([...new Bun.Glob("**").scanSync(outside)]).toEqual(["ssh/ssh_host_rsa_key"]);
      symlinkSync(outside, `${tree}/etc2`);
      rmSync(`${tree}/etc`, { recursive: true });
      symlinkSync(outside, `${tree}/etc`);
      expect(withTree(tree, polishImported).length).toBeGreaterThan(5);
      expect([...new Bun.Glob("**").scanSync(outside)]).toEqual(["ssh/ssh_host_rsa_key"]);
    },
  );
});
