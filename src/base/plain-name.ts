/** What names of containers and volumes look like: they become file names, and words on command lines. */
const pattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export const isPlainName = (word: string): boolean => pattern.test(word);

/** For hints. */
export const PLAIN_NAME =
  "use 1 to 63 lower case letters, digits and -, beginning and ending with a letter or digit";
