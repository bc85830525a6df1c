/** How `check` and `info --security` show whether a layer is there. */
export const verdictWords = { present: "ok", absent: "absent", missing: "MISSING" } as const;
export const verdictColours = { present: "green", absent: "yellow", missing: "red" } as const;
