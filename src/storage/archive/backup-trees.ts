/** A backup's members as the trees that they belong to. */
import { quoteName, refused } from "./damaged.ts";
import type { Member } from "./member.ts";

export type Trees = {
  /** The members of the tree that lies at `prefix` ("upper/"), names relative to it. Trees come in the archive's order. */
  readonly at: (prefix: string) => AsyncGenerator<Member>;
  /** Reads to the end; fails when there is more. */
  readonly end: () => Promise<void>;
  /** Ends the reading, wherever it is. */
  readonly close: () => Promise<void>;
};

/** Splits the members; each must have been used before the next one is asked for. */
export function splitTrees(members: AsyncGenerator<Member>): Trees {
  let pending: Member | undefined;
  const next = async (): Promise<Member | undefined> => {
    const { value, done } = await members.next();
    return done === true ? undefined : value;
  };
  async function* at(prefix: string): AsyncGenerator<Member> {
    const start = Buffer.from(prefix);
    let found = 0;
    for (let member = pending ?? (await next()); ; member = await next()) {
      pending = member;
      if (member === undefined || !isBelow(member.name, start)) break;
      found += 1;
      yield relative(member, start);
    }
    if (found === 0) throw refused(`the archive has no ${prefix}`, "it was not made by berth as it is");
  }
  return {
    at,
    end: async () => {
      const more = pending ?? (await next());
      if (more !== undefined)
        throw refused(`member ${quoteName(more.name)} of the archive belongs to no tree of it`);
    },
    close: async () => {
      await members.return(undefined);
    },
  };
}

const isBelow = (name: Buffer, start: Buffer): boolean => name.subarray(0, start.length).equals(start);

/** A hard link names what it is a link to from the archive's top. */
function relative(member: Member, start: Buffer): Member {
  const name = member.name.subarray(start.length);
  if (member.type !== "hardlink") return { ...member, name };
  if (!isBelow(member.link, start))
    throw refused(`member ${quoteName(member.name)} is refused: it is a hard link out of its tree`);
  return { ...member, name, link: member.link.subarray(start.length) };
}
