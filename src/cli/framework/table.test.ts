import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Column, renderFields, renderTable } from "./table.ts";

type Row = { name: string; memory: number | undefined };
const columns: readonly Column<Row>[] = [
  { title: "name", cell: ({ name }) => name, shrinks: true, colour: () => "green" },
  { title: "memory", cell: ({ memory }) => memory, align: "right" },
];
const plain = { width: undefined, colour: false };

test("aligns and shows what is absent as -", () => {
  const rows = [
    { name: "web1", memory: 5 },
    { name: "a-longer-name", memory: undefined },
  ];
  expect(renderTable(columns, rows, plain)).toBe(
    ["NAME           MEMORY", "web1                5", "a-longer-name       -", ""].join("\n"),
  );
});

test("wide characters take two cells", () => {
  const [, first, second] = renderTable(
    columns,
    [
      { name: "日本", memory: 1 },
      { name: "abcd", memory: 1 },
    ],
    plain,
  ).split("\n");
  expect(Bun.stringWidth(first ?? "")).toBe(Bun.stringWidth(second ?? ""));
});

test("colours only where asked", () => {
  const rows = [{ name: "x", memory: 1 }];
  expect(renderTable(columns, rows, { width: undefined, colour: true })).toContain("\x1b[32mx");
  expect(renderTable(columns, rows, plain)).not.toContain("\x1b");
});

test("never wider than the terminal, and no cell's text can break out", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), fc.integer({ min: 20, max: 60 }), (names, width) => {
      const text = renderTable(
        columns,
        names.map((name) => ({ name, memory: 1 })),
        { width, colour: false },
      );
      const lines = text.split("\n");
      expect(lines.length).toBe(names.length + 2);
      for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
      expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    }),
  );
});

test("fields", () => {
  expect(
    renderFields([
      ["name", "web1"],
      ["address", undefined],
      ["state", "run\x1bning"],
    ]),
  ).toBe("name:  web1\nstate: run\\x1bning");
});
