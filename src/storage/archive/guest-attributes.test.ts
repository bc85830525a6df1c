import { expect, test } from "bun:test";
import fc from "fast-check";
import { mapXattr, toGuest, toHost } from "./guest-attributes.ts";

const base = 300_000;
const cap2 = Buffer.from("0100000200200000000000000000000000000000", "hex");
const xattr = (name: string, value: Buffer) => ({ name: Buffer.from(name), value });
const capability = (value: Buffer) => xattr("security.capability", value);

test("a capability of the guest's root is one of root's own in the archive, and the new guest's root's when it comes back", () => {
  const host = mapXattr(capability(cap2), toHost(base), false);
  expect(host?.value.length).toBe(24);
  expect(host?.value.readUInt32LE(0)).toBe(0x03000001);
  expect(host?.value.readUInt32LE(20)).toBe(base);
  expect(mapXattr(host ?? capability(cap2), toGuest(base), false)).toEqual(capability(cap2));
  // The host's root has no place in a guest.
  expect(mapXattr(capability(cap2), toGuest(base), false)).toBeUndefined();
  expect(mapXattr(capability(cap2), toHost(0), false)).toEqual(capability(cap2));
});

test("marks of an overlay are kept in raw layers alone, and never lead up", () => {
  const opaque = xattr("trusted.overlay.opaque", Buffer.from("y"));
  expect(mapXattr(opaque, toHost(base), true)).toEqual(opaque);
  expect(mapXattr(opaque, toHost(base), false)).toBeUndefined();
  const redirect = (to: string) => xattr("trusted.overlay.redirect", Buffer.from(to));
  expect(mapXattr(redirect("/usr/share"), toHost(base), true)).toBeDefined();
  expect(mapXattr(redirect("/usr/../../etc"), toHost(base), true)).toBeUndefined();
  for (const name of ["trusted.overlay.origin", "trusted.overlay.metacopy", "security.selinux", "trusted.x"])
    expect(mapXattr(xattr(name, Buffer.from("y")), toHost(base), true)).toBeUndefined();
});

test("any bytes give an attribute of the same meaning, or none", () => {
  const names = fc.constantFrom(
    "security.capability",
    "system.posix_acl_access",
    "system.posix_acl_default",
    "user.x",
    "trusted.overlay.redirect",
  );
  const values = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.uint8Array({ minLength: 16, maxLength: 20 }).map((rest) => Uint8Array.from([1, 0, 0, 2, ...rest])),
    fc.uint8Array({ minLength: 20, maxLength: 20 }).map((rest) => Uint8Array.from([0, 0, 0, 3, ...rest])),
    fc
      .uint8Array({ minLength: 8, maxLength: 8 })
      .map((rest) => Uint8Array.from([2, 0, 0, 0, ...rest.with(0, 2).with(1, 0).with(6, 0).with(7, 0)])),
  );
  fc.assert(
    fc.property(names, values, fc.boolean(), (name, value, isLayer) => {
      const host = mapXattr(xattr(name, Buffer.from(value)), toHost(base), isLayer);
      if (host === undefined) return;
      const back = mapXattr(host, toGuest(base), isLayer);
      expect(back).toBeDefined();
      // Once more changes nothing: what it says is told in one way only.
      expect(mapXattr(back ?? host, toHost(base), isLayer)).toEqual(host);
    }),
    { numRuns: 500 },
  );
});
