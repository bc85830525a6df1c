/** `--end-sessions` of commands that write a guest's processes down. */
export const endSessionsOption = {
  name: "end-sessions",
  kind: "flag",
  summary: "End commands of `berth exec` and `enter`, which cannot come along; who waits for them is told",
} as const;
