/** native/front_text.c must write figures, and order names, as we do: to the byte. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { formatDuration, formatSize } from "../base/units.ts";

const native = new URL("../../native/", import.meta.url).pathname;
const harness = `
#include <inttypes.h>
#include <stdio.h>
#include "front_text.h"
int main(void)
{
	char what, a[128], b[128], out[TEXT_FIGURE];
	uint64_t n, per;
	while (scanf(" %c", &what) == 1) {
		if (what == 'o' && scanf("%127s %127s", a, b) == 2) {
			int order = text_order(a, b);
			printf("%d\\n", (order > 0) - (order < 0));
			continue;
		}
		if (scanf("%" SCNu64 " %" SCNu64, &n, &per) != 2)
			return 1;
		if (what == 's') text_size(out, n); else if (what == 'd') text_duration(out, n); else text_hundredths(out, n, per);
		puts(out);
	}
	return 0;
}`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync("/tmp/t-berth-text-");
  writeFileSync(`${dir}/harness.c`, harness);
  const cc = ["cc", "-D_GNU_SOURCE", `-I${native}`, "-o", `${dir}/harness`, `${dir}/harness.c`];
  expect(Bun.spawnSync([...cc, `${native}/front_text.c`]).stderr.toString()).toBe("");
});
afterAll(() => rmSync(dir, { recursive: true }));

function inC(lines: readonly string[]): readonly string[] {
  const { stdout } = Bun.spawnSync([`${dir}/harness`], { stdin: Buffer.from(lines.join("\n")) });
  return stdout.toString().trimEnd().split("\n");
}

/** Small and large, next to every power of two and ten, and halves. */
const numbers: readonly number[] = [
  ...Array.from({ length: 3000 }, (_, n) => n),
  ...Array.from({ length: 50 }, (_, bits) => 2 ** bits).flatMap((n) => [n - 1, n, n + 1, n * 1.5, n * 1.25]),
  ...Array.from({ length: 15 }, (_, digits) => 10 ** digits).flatMap((n) => [n - 1, n, n + 1]),
  ...Array.from({ length: 400 }, (_, n) => 1024 ** 2 * (n + 0.5)),
  ...Array.from({ length: 400 }, (_, n) => 1024 ** 3 + (1024 ** 3 / 20) * n),
  ...Array.from({ length: 5000 }, () => 2 ** (Math.random() * 50)),
].map(Math.floor);

test("sizes and durations", () => {
  expect(inC(numbers.map((n) => `s ${n} 0`))).toEqual(numbers.map(formatSize));
  expect(inC(numbers.map((n) => `d ${n} 0`))).toEqual(numbers.map(formatDuration));
});

test("seconds on processors, halves too", () => {
  for (const per of [1e6, 1e9]) {
    const counts = [...numbers, ...Array.from({ length: 4000 }, (_, n) => (per / 1000) * n)];
    expect(inC(counts.map((n) => `h ${n} ${per}`))).toEqual(counts.map((n) => (n / per).toFixed(2)));
  }
});

test("the order of names", () => {
  const parts = ["a", "b", "web", "-", "1", "2", "10", "09", "0", "z9", "99"];
  const pick = (): string => parts[Math.floor(Math.random() * parts.length)] ?? "";
  const word = (): string =>
    Array.from({ length: 1 + Math.floor(Math.random() * 4) }, pick)
      .join("")
      .replace(/^-+|-+$/g, "") || "x";
  const pairs = Array.from({ length: 5000 }, () => [word(), word()] as const);
  expect(inC(pairs.map(([a, b]) => `o ${a} ${b}`))).toEqual(
    pairs.map(([a, b]) => String(Math.sign(a.localeCompare(b, "en", { numeric: true })))),
  );
});
