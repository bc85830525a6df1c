/** Plain text laid out for a terminal or a page. */

/** Words filled into lines of at most `width` columns, each behind `indent` spaces. */
export function fill(text: string, width: number, indent = 0): string {
  const lead = " ".repeat(indent);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    if (line !== "" && indent + line.length + 1 + word.length > width) {
      lines.push(lead + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(lead + line);
  return lines.join("\n");
}

/** Paragraphs of a description. */
export function paragraphs(text: string): readonly string[] {
  return text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim().replace(/\s+/g, " "))
    .filter((paragraph) => paragraph !== "");
}

/** Two columns: terms, and what they mean filled beside them (below, where a term is too long). */
export function definitions(
  rows: readonly (readonly [term: string, meaning: string])[],
  width: number,
  termWidth = Math.min(26, Math.max(0, ...rows.map(([term]) => term.length))),
): string {
  return rows
    .map(([term, meaning]) => {
      const body = fill(meaning, width, termWidth + 4);
      if (term.length > termWidth) return `  ${term}\n${body}`;
      return `  ${term.padEnd(termWidth)}  ${body.trimStart()}`;
    })
    .join("\n");
}
