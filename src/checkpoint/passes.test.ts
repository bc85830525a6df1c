import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { linkPasses, placeForPass } from "./passes.ts";

test("images lead to their passes, from the last to the first, without leaving their directory", () => {
  const images = mkdtempSync(`${tmpdir()}/t-passes-`);
  try {
    for (const pass of [1, 2, 3]) writeFileSync(`${placeForPass(images, pass)}/pages-1.img`, `${pass}`);
    linkPasses(images, 3);
    linkPasses(images, 3);
    const chain = ["parent", "parent/parent", "parent/parent/parent"].map((way) => `${images}/${way}`);
    expect(chain.map((dir) => readFileSync(`${dir}/pages-1.img`, "utf8"))).toEqual(["3", "2", "1"]);
    expect(chain.every((dir) => realpathSync(dir).startsWith(realpathSync(images)))).toBe(true);
    expect(() => realpathSync(`${images}/parent/parent/parent/parent`)).toThrow();
  } finally {
    rmSync(images, { recursive: true });
  }
});

test("images that build upon no pass have no link", () => {
  const images = mkdtempSync(`${tmpdir()}/t-passes-`);
  linkPasses(images, 0);
  expect(() => realpathSync(`${images}/parent`)).toThrow();
  rmSync(images, { recursive: true });
});
