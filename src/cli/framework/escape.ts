/**
 * Text that a guest chose (host names, process names, log lines, mount points) must not drive the terminal it is
 * shown on: escape sequences, cursor movements and bidirectional overrides come out as visible codes.
 */

// C0 and DEL, C1, line and paragraph separators, bidi marks/embeddings/overrides/isolates (Unicode 15, UAX 9),
// invisible operators and the byte order mark; lone surrogates, which no terminal agrees on.
const harmful =
  /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

function code(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  return point < 0x100
    ? `\\x${point.toString(16).padStart(2, "0")}`
    : `\\u${point.toString(16).padStart(4, "0")}`;
}

/** One line of harmless text: every control character, newline and tab among them, as `\x1b` or `\u202e`. */
export function visible(text: string): string {
  return text.replace(harmful, code);
}

/** As `visible`, but line breaks stay line breaks and tabs tabs. */
export function visibleLines(text: string): string {
  return text.replace(harmful, (character) =>
    character === "\n" || character === "\t" ? character : code(character),
  );
}
