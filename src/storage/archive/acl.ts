/**
 * POSIX ACLs of an archive: words as star and GNU tar write them, made the bytes that the kernel keeps
 * (linux/posix_acl_xattr.h: u32 version 2, then for each entry u16 tag, u16 permissions, u32 id).
 */
const VERSION = 2;
const NO_ID = 0xffffffff;
const ENTRY = 8;

/** Tags by word, without and with an id. */
const tags = { user: [0x01, 0x02], group: [0x04, 0x08], mask: [0x10, 0x10], other: [0x20, 0x20] } as const;

type Entry = { readonly tag: number; readonly permissions: number; readonly id: number };

/**
 * "user::rw-,user:1000:r--,group::r--,mask::r--,other::---", or star's form with the id behind: "user:joe:r--:1000".
 * Undefined when it is malformed or names somebody by a name alone, who may be another one here.
 */
export function aclFromWords(words: string): Buffer | undefined {
  const entries: Entry[] = [];
  for (const word of words.split(/[,\n]/).map((text) => text.replace(/#.*$/, "").trim())) {
    if (word === "") continue;
    const entry = entryOf(word);
    if (entry === undefined) return undefined;
    entries.push(entry);
  }
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  return entries.length === 0 ? undefined : encode(entries);
}

function entryOf(word: string): Entry | undefined {
  const [kind = "", who = "", letters = "", number = ""] = word.split(":");
  const tag = Object.entries(tags).find(([name]) => name === kind || name[0] === kind)?.[1];
  if (tag === undefined || !/^[r-][w-][x-]$/.test(letters)) return undefined;
  const permissions = [...letters].reduce((bits, letter) => bits * 2 + (letter === "-" ? 0 : 1), 0);
  const named = (tag[0] === 0x01 || tag[0] === 0x04) && who !== "";
  if (!named) return { tag: tag[0], permissions, id: NO_ID };
  const id = /^\d{1,10}$/.test(number) ? number : who;
  return /^\d{1,10}$/.test(id) && Number(id) < NO_ID
    ? { tag: tag[1], permissions, id: Number(id) }
    : undefined;
}

function encode(entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(4 + ENTRY * entries.length);
  bytes.writeUInt32LE(VERSION, 0);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + ENTRY * index);
    bytes.writeUInt16LE(permissions, 6 + ENTRY * index);
    bytes.writeUInt32LE(id, 8 + ENTRY * index);
  }
  return bytes;
}

/** The same ACL with the ids of its named users and groups mapped; undefined when it is malformed or an id has no place. */
export function mapAcl(acl: Buffer, owner: (id: number) => number | undefined): Buffer | undefined {
  if (acl.length < 4 || (acl.length - 4) % ENTRY !== 0 || acl.readUInt32LE(0) !== VERSION) return undefined;
  const mapped = Buffer.from(acl);
  for (let at = 4; at < acl.length; at += ENTRY) {
    const tag = acl.readUInt16LE(at);
    if (tag !== tags.user[1] && tag !== tags.group[1]) continue;
    const id = owner(acl.readUInt32LE(at + 4));
    if (id === undefined) return undefined;
    mapped.writeUInt32LE(id, at + 4);
  }
  return mapped;
}
