import { expect, test } from "bun:test";
import type { ProgressEvent } from "../../base/progress.ts";
import { type ProgressMode, progressRenderer } from "./render-progress.ts";

/** What a mode prints of events that come at given milliseconds. */
function rendered(mode: ProgressMode, events: readonly (readonly [number, ProgressEvent])[]): string {
  let text = "";
  let clock = 0;
  const renderer = progressRenderer(
    mode,
    (part) => {
      text += part;
    },
    () => clock,
  );
  for (const [at, event] of events) {
    clock = at;
    renderer.emit(event);
  }
  renderer.clear();
  return text;
}

const advance = (done: number, total: number | undefined = 100): ProgressEvent => ({
  type: "advance",
  label: "copy",
  done,
  total,
  unit: "items",
});

test("plain lines come seldom, and once at the end", () => {
  const text = rendered({ type: "plain" }, [
    [0, { type: "step", label: "begin\x1b" }],
    [0, advance(0)],
    [100, advance(1)],
    [6000, advance(50)],
    [6100, advance(100)],
    [6200, advance(100)],
    [6300, { type: "warning", text: "slow" }],
  ]);
  expect(text).toBe("begin\\x1b\ncopy: 50% (50 of 100)\ncopy: 100% (100 of 100)\nwarning: slow\n");
});

test("a bar fits its terminal and is gone at the end", () => {
  const text = rendered({ type: "terminal", columns: 20 }, [
    [0, advance(50)],
    [10, advance(51)],
    [200, advance(52)],
  ]);
  const frames = text.split("\r\x1b[K").filter((frame) => frame !== "");
  expect(frames.length).toBe(2);
  for (const frame of frames) expect(frame.length).toBeLessThan(20);
  expect(text.endsWith("\r\x1b[K")).toBe(true);
});

test("sizes and unknown ends", () => {
  const text = rendered({ type: "terminal", columns: 100 }, [
    [0, { type: "advance", label: "read", done: 3 * 2 ** 20, total: undefined, unit: "bytes" }],
    [1, { type: "advance", label: "write", done: 2 ** 20, total: 4 * 2 ** 20, unit: "bytes" }],
    [2, { type: "advance", label: "boot", done: 45.7, total: undefined, unit: "percent" }],
  ]);
  expect(text).toContain("read  3M");
  expect(text).toContain("write  [######..................]  25% (1M of 4M)");
  expect(text).toContain("boot  [###########.............]  45%");
});

test("JSON lines are the events; quiet keeps warnings", () => {
  const events = [
    [0, { type: "step", label: "a" }],
    [0, { type: "warning", text: "b" }],
  ] as const;
  expect(rendered({ type: "json" }, events)).toBe(
    '{"type":"step","label":"a"}\n{"type":"warning","text":"b"}\n',
  );
  expect(rendered({ type: "quiet" }, events)).toBe("warning: b\n");
});

test("bytes have a rate and a time that is left, once they can be told", () => {
  const at = (done: number): ProgressEvent => ({
    type: "advance",
    label: "backup",
    done: done * 2 ** 20,
    total: 100 * 2 ** 20,
    unit: "bytes",
  });
  const text = rendered({ type: "terminal", columns: 100 }, [
    [0, at(0)],
    [500, at(5)],
    [10_000, at(40)],
    [25_000, at(100)],
  ]);
  expect(text).toContain("5% (5M of 100M)\r");
  expect(text).toContain("40% (40M of 100M), 4M/s, 15s left");
  expect(text).toContain("100% (100M of 100M), 4M/s\r");
  const plain = rendered({ type: "plain" }, [
    [0, at(0)],
    [100_000, at(1)],
  ]);
  expect(plain).toBe("backup: 1% (1M of 100M), 10.2K/s, 2h 45m left\n");
});
