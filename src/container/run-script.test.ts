import { expect, test } from "bun:test";
import { interpreterOf } from "./run-script.ts";

test("a script's first line names its interpreter, with one argument", () => {
  const of = (text: string): readonly string[] => interpreterOf(Buffer.from(text));
  expect(of("#!/bin/bash\necho")).toEqual(["/bin/bash"]);
  expect(of("#! /usr/bin/env  python3 -u \n")).toEqual(["/usr/bin/env", "python3 -u"]);
  expect(of("#!/bin/sh -e")).toEqual(["/bin/sh", "-e"]);
  expect(of("#!/bin/sh\t-x\r\n")).toEqual(["/bin/sh", "-x\r"]);
  expect(of("#!/ü\n")).toEqual(["/ü"]);
  for (const text of ["", "echo\n", "#!\n/bin/x\n", "# !/bin/x"]) expect(of(text)).toEqual(["/bin/sh"]);
});
