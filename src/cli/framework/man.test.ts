import { expect, test } from "bun:test";
import fc from "fast-check";
import { defineCommand } from "./command.ts";
import { commandPage, roff } from "./man.ts";

test("text never becomes a request, an escape or a non-ASCII byte", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const shown = roff(text);
      for (const line of shown.split("\n")) expect(line.startsWith(".") || line.startsWith("'")).toBe(false);
      expect(shown.replace(/\\(e|-|&|\[u[0-9A-F]{4,6}\])/g, "")).not.toContain("\\");
      expect(/[\u0080-\u{10ffff}]/u.test(shown)).toBe(false);
    }),
  );
});

test("a page has its sections in man's order", () => {
  const command = defineCommand({
    name: "template build",
    summary: "Build a template",
    arguments: [{ name: "template", kind: "string", summary: "Which" }],
    options: [{ name: "include", kind: "string", repeatable: true, summary: "Packages more" }],
    examples: [{ command: "berth template build debian-13", what: "Build Debian 13" }],
    seeAlso: ["create"],
    async run() {},
  });
  const page = commandPage(command, "1.2.3");
  const sections = [...page.matchAll(/^\.SH (.*)$/gm)].map((match) => match[1]);
  expect(sections).toEqual([
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "ARGUMENTS",
    "OPTIONS",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
  ]);
  expect(page).toContain('.TH "BERTH\\-TEMPLATE\\-BUILD" "1"');
  expect(page).toContain("\\fBberth\\-create\\fR(1)");
});
