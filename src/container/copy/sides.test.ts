import { expect, test } from "bun:test";
import { parseJob } from "./sides.ts";

test("the side with a name and a colon is in a container", () => {
  expect(parseJob(["a", "b/", "web1:/srv"])).toEqual({
    direction: "in",
    container: "web1",
    sources: ["a", "b/"],
    target: "/srv",
  });
  expect(parseJob(["web1:/a:b", "."])).toEqual({
    direction: "out",
    container: "web1",
    sources: ["/a:b"],
    target: ".",
  });
  expect(parseJob(["101:etc/passwd", "-"])).toMatchObject({ container: "101", sources: ["/etc/passwd"] });
  expect(parseJob(["web1:", "out"])).toMatchObject({ sources: ["/"] });
});

test("a colon behind a slash is the host's", () => {
  expect(parseJob(["./a:b", "web1:/"])).toMatchObject({ direction: "in", sources: ["./a:b"] });
  expect(() => parseJob(["./a:b", "/c:d"])).toThrow("neither side");
});

test("what makes no sense is refused in words", () => {
  for (const [words, message] of [
    [["a"], "a source and a target"],
    [["a", "b"], "neither side"],
    [["x:/a", "y:/b"], "both sides"],
    [["x:/a", "x:/b"], "both sides"],
    [["x:/a", "y:/b", "c"], "different places"],
    [["x:/a", "b", "c"], "different places"],
    [["-", "a", "x:/b"], "one file"],
    [["x:/a", "x:/b", "-"], "one file"],
  ] as const)
    expect(() => parseJob(words)).toThrow(message);
});
