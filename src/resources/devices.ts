/**
 * Device rules: default deny, then what is listed. On v1 they are lines for the devices controller; on v2 a small
 * eBPF program that berth-launch attaches to the container's cgroup.
 */

export type DeviceRule = {
  readonly type: "c" | "b";
  readonly major: number;
  /** undefined: every minor of the major. */
  readonly minor: number | undefined;
  /** Any of r, w, m. */
  readonly access: string;
};

/** Lines for devices.allow, after `a` was written to devices.deny. */
export const v1DeviceLines = (rules: readonly DeviceRule[]): string[] =>
  rules.map(({ type, major, minor, access }) => `${type} ${major}:${minor ?? "*"} ${access}`);

// include/uapi/linux/bpf.h: struct bpf_cgroup_dev_ctx { u32 access_type (access << 16 | type), major, minor }.
const DEV_BLOCK = 1;
const DEV_CHAR = 2;
const ACC_MKNOD = 1;
const ACC_READ = 2;
const ACC_WRITE = 4;

const R0 = 0;
const R1 = 1;
const R2 = 2;
const R3 = 3;
const R4 = 4;
const R5 = 5;

// Opcodes (Documentation/bpf/standardization/instruction-set.rst), each class | source | operation.
const LDX_W = 0x61;
const MOV64_REG = 0xbf;
const MOV64_IMM = 0xb7;
const AND32_IMM = 0x54;
const RSH32_IMM = 0x74;
const JNE_IMM = 0x55;
const EXIT = 0x95;

type Instruction = { code: number; dst?: number; src?: number; off?: number; imm?: number };

const accessBits = (access: string): number =>
  (access.includes("m") ? ACC_MKNOD : 0) |
  (access.includes("r") ? ACC_READ : 0) |
  (access.includes("w") ? ACC_WRITE : 0);

/** The program's bytes (struct bpf_insn[], 8 bytes each, little endian): returns 1 to allow, 0 to deny. */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: Instruction[] = [
    { code: LDX_W, dst: R2, src: R1, off: 0 },
    { code: MOV64_REG, dst: R3, src: R2 },
    { code: AND32_IMM, dst: R2, imm: 0xffff }, // R2: type
    { code: RSH32_IMM, dst: R3, imm: 16 }, // R3: access
    { code: LDX_W, dst: R4, src: R1, off: 4 }, // R4: major
    { code: LDX_W, dst: R5, src: R1, off: 8 }, // R5: minor
    ...rules.flatMap(ruleInstructions),
    { code: MOV64_IMM, dst: R0, imm: 0 },
    { code: EXIT },
  ];
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, dst = 0, src = 0, off = 0, imm = 0 }, index) => {
    bytes.writeUInt8(code, index * 8);
    bytes.writeUInt8((src << 4) | dst, index * 8 + 1);
    bytes.writeInt16LE(off, index * 8 + 2);
    bytes.writeInt32LE(imm, index * 8 + 4);
  });
  return bytes;
}

/** Falls through to the next rule unless type, major, minor and every asked access match; then returns 1. */
function ruleInstructions({ type, major, minor, access }: DeviceRule): Instruction[] {
  const denied = ~accessBits(access) & (ACC_MKNOD | ACC_READ | ACC_WRITE);
  const tests: Instruction[] = [
    { code: JNE_IMM, dst: R2, imm: type === "c" ? DEV_CHAR : DEV_BLOCK },
    { code: JNE_IMM, dst: R4, imm: major },
    ...(minor === undefined ? [] : [{ code: JNE_IMM, dst: R5, imm: minor }]),
  ];
  const accessTest: Instruction[] =
    denied === 0
      ? []
      : [
          { code: MOV64_REG, dst: R0, src: R3 },
          { code: AND32_IMM, dst: R0, imm: denied },
          { code: JNE_IMM, dst: R0, imm: 0 },
        ];
  const body = [...tests, ...accessTest];
  const end: Instruction[] = [{ code: MOV64_IMM, dst: R0, imm: 1 }, { code: EXIT }];
  // A failed test jumps behind this rule's end.
  return [
    ...body.map((instruction, index) =>
      instruction.code === JNE_IMM
        ? { ...instruction, off: body.length - index - 1 + end.length }
        : instruction,
    ),
    ...end,
  ];
}
