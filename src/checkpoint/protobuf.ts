/**
 * Protocol buffers as far as CRIU's images and its RPC need them: a message is a list of fields, kept in their order,
 * unknown ones as they are (protobuf.dev, "Encoding").
 */

export type Field =
  | { readonly number: number; readonly type: "varint"; readonly value: bigint }
  | { readonly number: number; readonly type: "bytes" | "fixed64" | "fixed32"; readonly value: Uint8Array };

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const malformed = (what: string): Error => new Error(`malformed protocol buffer: ${what}`);

/** The fields of a message. Throws on bytes that are none. */
export function decode(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [key, afterKey] = readVarint(bytes, at);
    const number = Number(key >> 3n);
    const kind = Number(key & 7n);
    at = afterKey;
    if (kind === VARINT) {
      const [value, after] = readVarint(bytes, at);
      fields.push({ number, type: "varint", value });
      at = after;
      continue;
    }
    const [size, start] = kind === BYTES ? readVarint(bytes, at) : [BigInt(fixedSize(kind)), at];
    const end = start + Number(size);
    if (end > bytes.length) throw malformed("a field is longer than its message");
    const type = kind === BYTES ? "bytes" : kind === FIXED64 ? "fixed64" : "fixed32";
    fields.push({ number, type, value: bytes.subarray(start, end) });
    at = end;
  }
  return fields;
}

/** The bytes of a message. */
export function encode(fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap((field) => {
      const key = (kind: number) => writeVarint((BigInt(field.number) << 3n) | BigInt(kind));
      if (field.type === "varint") return [key(VARINT), writeVarint(field.value)];
      if (field.type !== "bytes")
        return [key(field.type === "fixed64" ? FIXED64 : FIXED32), Buffer.from(field.value)];
      return [key(BYTES), writeVarint(BigInt(field.value.length)), Buffer.from(field.value)];
    }),
  );
}

/** A number or a truth value; negative numbers as protocol buffers have them, in 64 bits. */
export const varint = (number: number, value: number | bigint | boolean): Field => ({
  number,
  type: "varint",
  value: BigInt.asUintN(64, BigInt(value)),
});

export const bytes = (number: number, value: Uint8Array | string): Field => ({
  number,
  type: "bytes",
  value: typeof value === "string" ? Buffer.from(value) : value,
});

/** The first number with this field number. */
export function numberOf(fields: readonly Field[], number: number): bigint | undefined {
  const field = fields.find((one) => one.number === number && one.type === "varint");
  return field?.type === "varint" ? field.value : undefined;
}

/** The first bytes with this field number. */
export function bytesOf(fields: readonly Field[], number: number): Uint8Array | undefined {
  const field = fields.find((one) => one.number === number && one.type === "bytes");
  return field?.type === "bytes" ? field.value : undefined;
}

/** The same message with other numbers where `changes` has some. */
export const withNumbers = (
  fields: readonly Field[],
  changes: Readonly<Record<number, number | bigint>>,
): Field[] =>
  fields.map((field) => {
    const value = changes[field.number];
    return value === undefined || field.type !== "varint" ? field : varint(field.number, value);
  });

/** The same message with another inner message. */
export const withBytes = (fields: readonly Field[], number: number, value: Uint8Array): Field[] =>
  fields.map((field) => (field.number === number && field.type === "bytes" ? bytes(number, value) : field));

function fixedSize(kind: number): number {
  if (kind === FIXED64) return 8;
  if (kind === FIXED32) return 4;
  throw malformed(`unknown wire type ${kind}`);
}

function readVarint(from: Uint8Array, start: number): [value: bigint, end: number] {
  let value = 0n;
  for (let at = start, shift = 0n; at < from.length && shift < 70n; at++, shift += 7n) {
    const byte = from[at] ?? 0;
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [BigInt.asUintN(64, value), at + 1];
  }
  throw malformed("a number is cut short");
}

function writeVarint(number: bigint): Buffer {
  const out: number[] = [];
  let rest = number;
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Buffer.from(out);
}
