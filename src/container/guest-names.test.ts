import { expect, test } from "bun:test";
import { parseNames } from "./guest-names.ts";

test("names and ids of passwd and group files; what is no entry is left out", () => {
  expect(
    parseNames("root:x:0:0::/root:/bin/sh\nweb:x:33:\n\n#x\nbad:x:-1:\nhuge:x:4294967295:\n:x:5:\n"),
  ).toEqual([
    { name: "root", id: 0 },
    { name: "web", id: 33 },
  ]);
});
