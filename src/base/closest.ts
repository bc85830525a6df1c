/** Did-you-mean: the candidate that a mistyped word most likely meant. */

/**
 * The nearest candidate by Damerau-Levenshtein distance (optimal string alignment), or undefined when none is
 * near: at most a third of the word's letters may differ, two at least. A candidate that begins with the word wins.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const typed = word.length >= 3 && candidate.startsWith(word) ? 0.5 : distance(word, candidate);
    // Everything replaced is not a typing error.
    if (typed < bestDistance && typed < Math.max(word.length, candidate.length)) {
      best = candidate;
      bestDistance = typed;
    }
  }
  return best;
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
