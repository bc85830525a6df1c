/**
 * What the operator should know of work that goes on all the same, said from below where nobody hands a Progress down.
 * The program says once who listens; until then nobody does.
 */

let listener: (text: string) => void = () => {};
const said = new Set<string>();

/** Hands every warning to `listen` from now on, each text once. */
export function onWarning(listen: (text: string) => void): void {
  listener = listen;
  said.clear();
}

/** Says it, the first time. */
export function warn(text: string): void {
  if (said.has(text)) return;
  said.add(text);
  listener(text);
}
