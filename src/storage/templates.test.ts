import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { templatesDir } from "../base/paths.ts";
import { silent } from "../base/progress.ts";
import { testDirectory } from "../base/test-directory.ts";
import { buildTemplate, publishTree } from "./build.ts";
import { findBusybox, isStatic } from "./busybox.ts";
import { openStaging, sweepBuilds } from "./staging.ts";
import {
  checkTemplateName,
  listTemplates,
  nameTemplate,
  removeTemplate,
  resolveTemplate,
  type Template,
  templateInfo,
  templateNames,
} from "./templates.ts";
import { isRoot, useRoot } from "./testing.ts";

const facts = { distribution: "test", release: "1", arch: "amd64", include: [], mirror: "" };
const nobody = { inUse: () => [] };

/** A tiny template whose content, and so its digest, is `text`. */
async function make(name: string, text: string): Promise<Template> {
  const staging = openStaging();
  writeFileSync(`${staging.rootfs}/file`, text);
  try {
    return await publishTree(staging, { ...facts, name });
  } finally {
    await staging.discard();
  }
}

describe.skipIf(!isRoot)("templates", () => {
  const root = testDirectory("storage");
  beforeAll(() => useRoot(root));
  beforeEach(() => rmSync(templatesDir(), { recursive: true, force: true }));

  test("are found by name, by digest and by its first digits", async () => {
    const made = await make("one", "1");
    expect(resolveTemplate("one")).toEqual(made);
    expect(resolveTemplate(made.digest)).toEqual(made);
    expect(resolveTemplate(made.digest.slice(0, 8))).toEqual(made);
    expect(() => resolveTemplate(made.digest.slice(0, 5))).toThrow("there is no template");
    expect(templateInfo("one")).toMatchObject({ version: 1, name: "one", digest: made.digest, size: 1 });
    expect(lstatSync(made.rootfs).mode & 0o777).toBe(0o755);
    expect(lstatSync(templatesDir()).mode & 0o777).toBe(0o700);
  });

  test("an unknown one is template.not-found with what may have been meant", async () => {
    expect(() => resolveTemplate("debian-13")).toThrow(
      expect.objectContaining({ code: "template.not-found", hint: expect.stringContaining("build") }),
    );
    await make("debian-13", "1");
    expect(() => resolveTemplate("debain-13")).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("did you mean debian-13?") }),
    );
  });

  test("a name moves on to a newer one, the older stays by digest", async () => {
    const [old, fresh] = [await make("one", "1"), await make("one", "2")];
    expect(resolveTemplate("one").digest).toBe(fresh.digest);
    expect(resolveTemplate(old.digest).names).toEqual([]);
    expect(listTemplates().map(({ names }) => names)).toEqual([["one"], []]);
  });

  test("the same tree built twice is one template with two names", async () => {
    const [a, b] = [await make("a", "1"), await make("b", "1")];
    expect(a.digest).toBe(b.digest);
    expect(b.names).toEqual(["a", "b"]);
    await removeTemplate("a", { inUse: () => ["web1"] });
    expect(resolveTemplate("b").names).toEqual(["b"]);
  });

  test("one in use is not removed, and the error names the containers", async () => {
    const made = await make("one", "1");
    await expect(removeTemplate("one", { inUse: () => ["web1", "db"] })).rejects.toMatchObject({
      code: "template.in-use",
      message: "template one is in use by web1, db",
    });
    expect(resolveTemplate("one").digest).toBe(made.digest);
    await removeTemplate("one", nobody);
    expect(existsSync(made.rootfs)).toBe(false);
    expect(readdirSync(templatesDir())).toEqual(["names"]);
    expect(templateNames().size).toBe(0);
  });

  test("removal by digest takes all names along", async () => {
    const made = await make("a", "1");
    nameTemplate("b", made.digest);
    await removeTemplate(made.digest.slice(0, 12), nobody);
    expect(listTemplates()).toEqual([]);
    expect(templateNames().size).toBe(0);
  });

  test("a name that points nowhere is not found, and can be given again", async () => {
    nameTemplate("one", "0".repeat(64));
    expect(() => resolveTemplate("one")).toThrow("there is no template one");
    const made = await make("one", "1");
    expect(resolveTemplate("one").digest).toBe(made.digest);
  });

  test.each(["", "-x", "../x", "a/b", "A", ".x", "x".repeat(64), "a".repeat(64), "a b"])(
    "%p cannot be a name",
    (name) => {
      expect(() => checkTemplateName(name)).toThrow(expect.objectContaining({ code: "template.bad-name" }));
    },
  );

  test("what a killed build left is swept, a living one's is not", async () => {
    const staging = openStaging();
    const dead = `${templatesDir()}/.build-0123456789ab`;
    mkdirSync(`${dead}/rootfs/deep`, { recursive: true });
    writeFileSync(`${dead}.json`, JSON.stringify({ pid: process.pid, startTime: 1, bootId: "gone" }));
    mkdirSync(`${templatesDir()}/.build-ba9876543210`);
    mkdirSync(`${templatesDir()}/.removed-${"0".repeat(64)}-4194305`);
    expect(await sweepBuilds()).toBe(3);
    expect(readdirSync(templatesDir()).sort()).toEqual(
      [staging.dir, `${staging.dir}.json`, "names"].map((path) => path.split("/").at(-1) ?? "").sort(),
    );
    await staging.discard();
    expect(await sweepBuilds()).toBe(0);
    expect(readdirSync(templatesDir())).toEqual(["names"]);
  });

  test("bad requests fail before anything is done", async () => {
    const refused = async (request: object, code: string): Promise<void> => {
      await expect(buildTemplate({ distribution: "busybox", ...request })).rejects.toMatchObject({ code });
    };
    await refused({ distribution: "debian-31" }, "template.not-found");
    await refused({ name: "a/b" }, "template.bad-name");
    await refused({ include: ["nginx"] }, "usage.bad-argument");
    await refused({ distribution: "debian-13", include: ["--force"] }, "usage.bad-argument");
    await refused({ distribution: "debian-13", suite: "a b" }, "usage.bad-argument");
    await refused({ distribution: "debian-13", mirror: "file:///srv" }, "usage.bad-argument");
    await make("busybox", "1");
    await refused({}, "template.exists");
  });

  test("a mirror that does not answer is a clear error, and nothing is left", async () => {
    await expect(
      buildTemplate({ distribution: "debian-13", mirror: "http://127.0.0.1:9/debian" }),
    ).rejects.toMatchObject({
      code: "template.build-failed",
      message: expect.stringContaining("http://127.0.0.1:9/debian"),
      hint: expect.stringContaining("--mirror"),
    });
    expect(readdirSync(templatesDir())).toEqual(["names"]);
  });

  test.skipIf(Bun.which("busybox") === null)(
    "busybox is built whole and static, and the same each time",
    async () => {
      expect(isStatic(await Bun.file(findBusybox()).bytes().then(Buffer.from))).toBe(true);
      const made = await buildTemplate({ distribution: "busybox" });
      expect(made.metadata).toMatchObject({ initKind: "busybox", haltSignal: 12, distribution: "busybox" });
      for (const path of ["bin/sh", "sbin/init", "etc/inittab", "bin/busybox"])
        expect(() => lstatSync(`${made.rootfs}/${path}`)).not.toThrow();
      expect(readdirSync(`${made.rootfs}/dev`).sort()).toEqual(["mqueue", "pts", "shm"]);
      const again = await buildTemplate({ distribution: "busybox", name: "other" });
      expect(again.digest).toBe(made.digest);
    },
  );

  test("an aborted build leaves nothing", async () => {
    const abort = new AbortController();
    abort.abort();
    await expect(
      buildTemplate({ distribution: "busybox" }, { ...silent, signal: abort.signal }),
    ).rejects.toMatchObject({ code: "template.build-failed" });
    expect(readdirSync(templatesDir())).toEqual(["names"]);
  });

  test.skipIf(process.env.BERTH_TEST_SLOW !== "1")(
    "debian-13 is built for real",
    async () => {
      const made = await buildTemplate({ distribution: "debian-13" });
      expect(made.metadata).toMatchObject({ initKind: "systemd", haltSignal: 37, release: "13" });
      expect(made.metadata.entries).toBeGreaterThan(3000);
    },
    600_000,
  );
});
