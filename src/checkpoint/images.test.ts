import { expect, test } from "bun:test";
import { fixExecutables, fixTimers, readImage, writeImage } from "./images.ts";
import { bytes, bytesOf, decode, encode, numberOf, varint } from "./protobuf.ts";

const header = Buffer.from("0123456789abcdef", "hex");
const bytesFrom = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

test("a message keeps what it does not know, byte for byte", () => {
  // 1: 150; 2: "testing"; 5: fixed32; 6: fixed64 (protobuf.dev, Encoding)
  const message = bytesFrom("0896011207" + "74657374696e67" + "2d01020304" + "310102030405060708");
  expect(encode(decode(message))).toEqual(Buffer.from(message));
  expect(numberOf(decode(message), 1)).toBe(150n);
  expect(Buffer.from(bytesOf(decode(message), 2) ?? []).toString()).toBe("testing");
});

test("bytes that are no message are refused", () => {
  for (const bad of ["08", "12057465", "0b", "0dffff"])
    expect(() => decode(bytesFrom(bad))).toThrow("malformed");
  expect(() => readImage(Buffer.concat([header, Buffer.from([9, 0, 0, 0, 1])]))).toThrow("cut short");
});

const timer = (clock: number, flags: number, sec: number, nsec: number) =>
  encode([
    varint(1, 17),
    varint(2, 5),
    bytes(
      12,
      encode([
        varint(1, 5),
        varint(4, clock),
        varint(5, 0),
        varint(6, flags),
        varint(7, sec),
        varint(8, nsec),
      ]),
    ),
  ]);

function fixed(entry: Uint8Array, dumped: number, now: number): readonly bigint[] {
  const [after] = readImage(fixTimers(writeImage(header, [entry]), dumped, now)).entries;
  const fields = decode(bytesOf(decode(after ?? new Uint8Array()), 12) ?? new Uint8Array());
  return [6, 7, 8].map((number) => BigInt.asIntN(64, numberOf(fields, number) ?? -1n));
}

test("absolute timers of guest time become relative", () => {
  expect(fixed(timer(1, 1, 3, 500), 0, 10_000)).toEqual([0n, 3n, 500n]);
  expect(fixed(timer(7, 1, 3, 500), 0, 10_000)).toEqual([0n, 3n, 500n]);
  expect(fixed(timer(1, 1, 0, 0), 0, 0)).toEqual([0n, 0n, 0n]);
});

test("wall clock timers stay absolute and are due when they were, even in the past", () => {
  // Dumped at 100.25 s with 5.5 s left: due at 105.75; 3 seconds later the rest is 105 - 103.
  expect(fixed(timer(0, 1, 5, 500_000_000), 100_250, 103_900)).toEqual([1n, 2n, 750_000_000n]);
  expect(fixed(timer(0, 1, 5, 500_000_000), 100_250, 200_000)).toEqual([1n, -95n, 750_000_000n]);
});

test("relative timers and those that watch the clock are left alone", () => {
  expect(fixed(timer(1, 0, 3, 1), 0, 9000)).toEqual([0n, 3n, 1n]);
  expect(fixed(timer(0, 3, 3, 1), 0, 9000)).toEqual([3n, 3n, 1n]);
});

test("a program behind an O_PATH descriptor gets an entry that can be read", () => {
  const reg = (id: number, flags: number) =>
    encode([
      varint(1, 1),
      varint(2, id),
      bytes(3, encode([varint(1, id), varint(2, flags), bytes(6, "/bin/x")])),
    ]);
  const files = writeImage(header, [reg(7, 0o10100000), reg(8, 0o100000)]);
  const mm = (exe: number) => writeImage(header, [encode([varint(1, 4096), varint(12, exe)])]);
  const result = fixExecutables(
    files,
    new Map([
      ["mm-1.img", mm(7)],
      ["mm-2.img", mm(8)],
      ["mm-3.img", mm(7)],
    ]),
  );
  expect([...result.mms.keys()]).toEqual(["mm-1.img", "mm-3.img"]);
  for (const image of result.mms.values())
    expect(numberOf(decode(readImage(image).entries[0] ?? new Uint8Array()), 12)).toBe(9n);
  const twin = decode(readImage(result.files).entries[2] ?? new Uint8Array());
  expect(numberOf(twin, 2)).toBe(9n);
  expect(numberOf(decode(bytesOf(twin, 3) ?? new Uint8Array()), 2)).toBe(0o100000n);
});
