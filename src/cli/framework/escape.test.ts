import { expect, test } from "bun:test";
import fc from "fast-check";
import { visible, visibleLines } from "./escape.ts";

test("control characters and bidi overrides come out as codes", () => {
  expect(visible("a\x1b[31mb")).toBe("a\\x1b[31mb");
  expect(visible("\r\n\t\x7f\x9b")).toBe("\\x0d\\x0a\\x09\\x7f\\x9b");
  expect(visible("\u202egnp.exe\u2066")).toBe("\\u202egnp.exe\\u2066");
  expect(visible("\ud800x")).toBe("\\ud800x");
  expect(visibleLines("a\n\tb\x1b")).toBe("a\n\tb\\x1b");
});

test("other text stays as it is", () => {
  for (const text of ["web1", "größe", "日本語", "👩‍💻".replace("\u200d", ""), "C:\\x1b"])
    expect(visible(text)).toBe(text);
});

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("\x1b", "]", "8", ";", "\x07", "\u202e", "\ud83d", "\udc69", "\n", "a"),
  }),
);

test("nothing that can drive a terminal is left", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const shown = visible(text);
      expect(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(shown)).toBe(false);
      expect(shown.isWellFormed()).toBe(true);
      expect(visible(shown)).toBe(shown);
    }),
  );
});
