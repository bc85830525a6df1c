/** Words that the commands on quota of users share. */
import { BerthError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { Subject, UserQuota } from "../container/user-quota.ts";
import { visible } from "./framework/escape.ts";

/** Exactly one of the two must be named. */
export function subjectOf(
  user: string | undefined,
  group: string | undefined,
): { readonly kind: Subject; readonly who: string } {
  if (user !== undefined && group === undefined) return { kind: "user", who: user };
  if (group !== undefined && user === undefined) return { kind: "group", who: group };
  throw new BerthError("usage.bad-argument", "it takes a user or a group", "--user NAME, or --group NAME");
}

/** "18G", "16G:18G" with a soft limit, "none". */
export function limitText(soft: number | null, hard: number | null, text: (value: number) => string): string {
  const one = (value: number | null): string => (value === null ? "none" : text(value));
  return soft === null ? one(hard) : `${one(soft)}:${one(hard)}`;
}

/** One line of a quota. */
export function describeQuota(kind: Subject, { id, name, ...quota }: UserQuota): string {
  const who = name === null ? String(id) : `${visible(name)} (${id})`;
  const disk = limitText(quota.diskSoft, quota.disk, formatSize);
  return `${kind} ${who}: disk ${disk}, inodes ${limitText(quota.inodesSoft, quota.inodes, String)}`;
}
