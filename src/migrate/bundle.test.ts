import { expect, test } from "bun:test";
import { packFile, SMALL, type SmallFile, unpackFiles } from "./bundle.ts";

async function read(...chunks: readonly Uint8Array[]): Promise<SmallFile[]> {
  const files: SmallFile[] = [];
  for await (const file of unpackFiles(
    (async function* () {
      yield* chunks;
    })(),
  ))
    files.push(file);
  return files;
}

const file = (name: string, text = "x"): SmallFile => ({ name, content: Buffer.from(text) });

test("files come out as they went in, wherever the line cuts them", async () => {
  const files = [file("pstree.img", "one"), file("empty.img", ""), file("fs-1.img", "two\0")];
  const bytes = Buffer.concat(files.map(packFile));
  expect(await read(bytes)).toEqual(files);
  expect(await read(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(files);
  expect(await read()).toEqual([]);
});

test("a name that is no plain one, a file too long or a bundle cut short is refused", async () => {
  for (const name of ["..", ".", "a/b", "/etc/passwd", "a\0b", "", "n".repeat(256)])
    await expect(read(packFile(file(name)))).rejects.toThrow("not to be had");
  await expect(read(packFile(file("big", "x".repeat(SMALL + 1))))).rejects.toThrow("not to be had");
  for (const cut of [1, 5, 8, 12])
    await expect(read(packFile(file("name", "content")).subarray(0, cut))).rejects.toThrow("not to be had");
});
