/** What test programs print, read by lines. */

const entities = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * The tests of a JUnit file as `bun test --reporter=junit` writes it. A file and not the console's lines: those
 * leave the passes out when bun believes that a program reads them.
 */
export function readJunit(xml) {
  return [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes, body = ""]) => {
      const name = [attribute(attributes, "classname"), attribute(attributes, "name")].filter(
        (part) => part !== "",
      );
      return { kind: outcome(body), name: name.join(": ") };
    },
  );
}

function outcome(body) {
  if (/<(failure|error)\b/.test(body)) return "failed";
  return /<skipped\b/.test(body) ? "skipped" : "passed";
}

function attribute(attributes, name) {
  const text = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return text.replace(/&(?:#(\d+)|(\w+));/g, (_, code, entity) =>
    code === undefined ? (entities[entity] ?? "?") : String.fromCodePoint(Number(code)),
  );
}

/** The closing line "N passed, N failed" with or without ", N skipped" and a word before it. */
export function readSummary(line) {
  const match = /^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line.trim());
  if (match === null) return undefined;
  return { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3] ?? 0) };
}

const outcomes = { ok: "passed", "not ok": "failed", FAIL: "failed", SKIP: "skipped" };

/** The test that a line "ok NAME", "not ok NAME", "FAIL NAME" or "SKIP NAME" tells of: none or one. */
export function readOutcome(line) {
  const [, mark, name] = /^(ok|not ok|FAIL|SKIP)[ :]\s*(.+)$/.exec(line) ?? [];
  return mark === undefined ? [] : [{ kind: outcomes[mark], name }];
}
