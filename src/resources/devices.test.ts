import { expect, test } from "bun:test";
import { type DeviceRule, deviceProgram, v1DeviceLines } from "./devices.ts";

const rules: readonly DeviceRule[] = [
  { type: "c", major: 1, minor: 3, access: "rwm" },
  { type: "c", major: 136, minor: undefined, access: "rw" },
  { type: "b", major: 7, minor: 0, access: "r" },
];

/** Runs the few instructions that deviceProgram emits, as the kernel would. */
function run(program: Uint8Array, type: number, access: number, major: number, minor: number): number {
  const code = Buffer.from(program);
  const context = [(access << 16) | type, major, minor];
  const registers = [0, 0, 0, 0, 0, 0];
  for (let pc = 0; pc < code.length / 8; pc++) {
    const [op, regs, off, imm] = [
      code[pc * 8] ?? 0,
      code[pc * 8 + 1] ?? 0,
      code.readInt16LE(pc * 8 + 2),
      code.readInt32LE(pc * 8 + 4),
    ];
    const [dst, src] = [regs & 15, regs >> 4];
    const value = registers[dst] ?? 0;
    if (op === 0x61) registers[dst] = context[off / 4] ?? 0;
    else if (op === 0xbf) registers[dst] = registers[src] ?? 0;
    else if (op === 0xb7) registers[dst] = imm;
    else if (op === 0x54) registers[dst] = value & imm;
    else if (op === 0x74) registers[dst] = value >>> imm;
    else if (op === 0x55) pc += value === imm ? 0 : off;
    else if (op === 0x95) return registers[0] ?? 0;
    else throw new Error(`unknown opcode ${op}`);
  }
  throw new Error("ran off the end");
}

const [MKNOD, READ, WRITE] = [1, 2, 4];
const [BLOCK, CHAR] = [1, 2];

test("the program allows what is listed and nothing else", () => {
  const program = deviceProgram(rules);
  expect(run(program, CHAR, READ | WRITE, 1, 3)).toBe(1);
  expect(run(program, CHAR, MKNOD, 1, 3)).toBe(1);
  expect(run(program, CHAR, READ, 136, 77)).toBe(1);
  expect(run(program, BLOCK, READ, 7, 0)).toBe(1);

  expect(run(program, CHAR, MKNOD, 136, 77)).toBe(0);
  expect(run(program, BLOCK, READ | WRITE, 7, 0)).toBe(0);
  expect(run(program, BLOCK, READ, 1, 3)).toBe(0);
  expect(run(program, CHAR, READ, 1, 1)).toBe(0);
  expect(run(program, CHAR, READ, 10, 200)).toBe(0);
});

test("no rule, no device", () => {
  expect(run(deviceProgram([]), CHAR, READ, 1, 3)).toBe(0);
});

test("lines for v1", () => {
  expect(v1DeviceLines(rules)).toEqual(["c 1:3 rwm", "c 136:* rw", "b 7:0 r"]);
});
