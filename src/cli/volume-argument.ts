/** The argument of commands about one volume. */
export const volumeArgument = { name: "volume", kind: "volume", summary: "The volume's name" } as const;
