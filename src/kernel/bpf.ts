/** What the kernel tells of eBPF programs. */
import { closeSync, openSync } from "node:fs";
import { libc, ptr } from "./libc.ts";

/** asm/unistd.h */
const SYS_bpf = process.arch === "arm64" ? 280 : 321;
// linux/bpf.h
const BPF_PROG_QUERY = 16;
const BPF_CGROUP_DEVICE = 6;
/** struct of BPF_PROG_QUERY in union bpf_attr; what a newer kernel knows besides is zero. */
const ATTR_SIZE = 64;
const ATTACH_TYPE = 4;
const PROG_COUNT = 24;

/** How many device programs are attached to a cgroup v2 directory; undefined when the kernel does not tell. */
export function devicePrograms(directory: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(directory, "r");
  } catch {
    return undefined;
  }
  try {
    const attr = Buffer.alloc(ATTR_SIZE);
    attr.writeUInt32LE(fd, 0);
    attr.writeUInt32LE(BPF_CGROUP_DEVICE, ATTACH_TYPE);
    const result = libc().syscall(SYS_bpf, BPF_PROG_QUERY, ptr(attr), ATTR_SIZE, 0, 0, 0);
    return Number(result) < 0 ? undefined : attr.readUInt32LE(PROG_COUNT);
  } finally {
    closeSync(fd);
  }
}
