/** The lab's error: a message for the headline, and evidence (serial console, journal) below it. */

export interface Evidence {
  readonly title: string;
  readonly text: string;
}

/**
 * Makes an error named `LabError`. Its message is the headline followed by each piece of evidence under its title,
 * so that a test report shows all of it without further help.
 */
export function labError(headline: string, evidence: readonly Evidence[] = [], cause?: unknown): Error {
  const parts = evidence.map(({ title, text }) => `--- ${title} ---\n${text.trimEnd() || "(empty)"}`);
  const error = new Error([headline, ...parts].join("\n"), { cause });
  error.name = "LabError";
  return error;
}

/** The last `lines` lines of a text. */
export function tail(text: string, lines: number): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
