export async function probe(_argv: readonly string[]): Promise<string | undefined> {
  return undefined;
}
