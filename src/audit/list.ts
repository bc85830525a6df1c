/** The attempts in words, for those who want to know what an audit does. */
import { attempts } from "./attacker.ts";
import { trapControl, traps } from "./traps.ts";

export type Listed = {
  readonly id: string;
  readonly what: string;
  readonly cve: string;
  readonly control: string;
};

/** All of them, those laid for the host last. */
export const listAttempts = (): readonly Listed[] => [
  ...attempts().map(({ id, what, cve, control }) => ({ id, what, cve, control })),
  ...traps.map(({ id, what, cve }) => ({ id, what, cve, control: trapControl })),
];
