import { expect, test } from "bun:test";
import fc from "fast-check";
import { moveCgroups, moveIds, readImage, writeImage } from "./images.ts";
import { bytes, bytesOf, decode, encode, numberOf, varint } from "./protobuf.ts";

const header = Buffer.from("0123456789abcdef", "hex");
const image = (...entries: readonly Uint8Array[]): Uint8Array => writeImage(header, entries);
const uint32 = fc.nat({ max: 2 ** 31 - 1 });

const extents = fc.array(fc.record({ first: uint32, lower: uint32, count: uint32 }), { maxLength: 5 });
const userns = (maps: readonly [number, { first: number; lower: number; count: number }][]): Uint8Array =>
  image(
    encode(
      maps.map(([map, { first, lower, count }]) =>
        bytes(map, encode([varint(1, first), varint(2, lower), varint(3, count)])),
      ),
    ),
  );

test("every range of ids begins at the container's first one, and nothing else changes", () => {
  fc.assert(
    fc.property(extents, extents, uint32, (users, groups, base) => {
      const of = (lower?: number) =>
        userns([
          ...users.map((one) => [1, { ...one, lower: lower ?? one.lower }] as [number, typeof one]),
          ...groups.map((one) => [2, { ...one, lower: lower ?? one.lower }] as [number, typeof one]),
        ]);
      expect(moveIds(of(), base)).toEqual(of(base));
    }),
  );
});

const name = fc.stringMatching(/^[a-z0-9äß-]{1,12}$/);
const home = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
const below = fc.array(name, { maxLength: 3 }).map((parts) => parts.map((part) => `/${part}`).join(""));

/** One set with one member, and one controller with one directory. */
const cgroups = (path: string, prefix: number, dir: string): Uint8Array =>
  image(
    encode([
      bytes(1, encode([varint(1, 7), bytes(2, encode([bytes(1, "v2"), bytes(2, path), varint(3, prefix)]))])),
      bytes(2, encode([bytes(1, "v2"), bytes(2, encode([bytes(1, dir), bytes(4, "kept")]))])),
    ]),
  );

const length = (text: string): number => Buffer.byteLength(text);

test("paths below the container's move with what the guest does not see of them, there and back", () => {
  fc.assert(
    fc.property(home, home, below, fc.nat({ max: 40 }), (from, to, rest, more) => {
      const seen = length(from) + Math.min(more, length(rest));
      const before = cgroups(from + rest, seen, from.slice(1));
      const after = moveCgroups(before, from, to);
      expect(after).toEqual(cgroups(to + rest, seen + length(to) - length(from), to.slice(1)));
      expect(moveCgroups(after, to, from)).toEqual(before);
    }),
  );
});

test("paths of others stay, also those that begin with the same letters", () => {
  fc.assert(
    fc.property(home, home, name, fc.nat({ max: 40 }), (from, to, suffix, prefix) => {
      const other = cgroups(`${from}${suffix}`, prefix, `${from.slice(1)}${suffix}`);
      expect(moveCgroups(other, from, to)).toEqual(other);
    }),
  );
});

test("a path shorter than the container's is none of its", () => {
  const other = cgroups("/", 1, "");
  const moved = decode(readImage(moveCgroups(other, "/berth/web1", "/b/x")).entries[0] ?? new Uint8Array());
  const member = decode(bytesOf(decode(bytesOf(moved, 1) ?? new Uint8Array()), 2) ?? new Uint8Array());
  expect(numberOf(member, 3)).toBe(1n);
});
