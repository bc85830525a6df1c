import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { templatesDir } from "../base/paths.ts";
import { testDirectory } from "../base/test-directory.ts";
import { publishTree } from "./build.ts";
import { collectTemplates, unusedTemplates } from "./collect.ts";
import { openStaging } from "./staging.ts";
import { listTemplates, type Template } from "./templates.ts";
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

describe.skipIf(!isRoot)("collecting templates", () => {
  const root = testDirectory("storage");
  beforeAll(() => useRoot(root));
  beforeEach(() => rmSync(templatesDir(), { recursive: true, force: true }));

  test("removes what has neither name nor container, and nothing else", async () => {
    const [unused, used, named] = [await make("a", "1"), await make("a", "2"), await make("a", "3")];
    const guard = { inUse: (digest: string) => (digest === used.digest ? ["web1"] : []) };
    expect(unusedTemplates(guard).map(({ digest }) => digest)).toEqual([unused.digest]);
    expect(existsSync(unused.rootfs)).toBe(true);
    expect((await collectTemplates(guard)).map(({ digest }) => digest)).toEqual([unused.digest]);
    expect(existsSync(unused.rootfs)).toBe(false);
    expect(listTemplates().map(({ digest }) => digest)).toEqual([named.digest, used.digest]);
    expect(await collectTemplates(guard)).toEqual([]);
  });

  test("a container made in the last moment keeps its template", async () => {
    const old = await make("a", "1");
    await make("a", "2");
    let asked = 0;
    const guard = {
      inUse: () => {
        asked += 1;
        return asked > 1 ? ["web1"] : [];
      },
    };
    await expect(collectTemplates(guard)).rejects.toMatchObject({ code: "template.in-use" });
    expect(existsSync(old.rootfs)).toBe(true);
  });

  test("takes along what a killed build has left", async () => {
    mkdirSync(`${templatesDir()}/.build-0123456789ab/rootfs`, { recursive: true });
    await collectTemplates(nobody);
    expect(readdirSync(templatesDir())).toEqual([]);
  });

  test("where there is no template there is nothing to do", async () => {
    expect(await collectTemplates(nobody)).toEqual([]);
  });
});
