/** What this host has that a guest may depend on. */
import { release } from "node:os";
import { readIfExists } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { version } from "../base/version.ts";
import { apparmorState } from "../kernel/apparmor.ts";
import { architecture } from "../storage/distributions.ts";
import type { HostFacts } from "./messages.ts";

/** What an interface has that nobody has given another one. */
const USUAL_MTU = 1500;

export function hostFacts(): HostFacts {
  return {
    berth: version,
    kernel: release(),
    architecture,
    cpuFlags: cpuFlags(readIfExists("/proc/cpuinfo") ?? ""),
    apparmor: apparmorState(),
    mtu: Number(readIfExists(`/sys/class/net/${instance.bridge}/mtu`) ?? USUAL_MTU),
    clock: Date.now(),
  };
}

/**
 * Flags of the first processor that a program can depend on: x86 and arm64 have different words for them. The others of
 * x86 are the kernel's, about defects, power or virtual machines, and differ between kernels on one processor.
 */
export const cpuFlags = (cpuinfo: string): string[] => {
  const [, word, flags = ""] = /^(flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo) ?? [];
  const all = flags.split(" ").filter(Boolean);
  return word === "flags" ? all.filter((flag) => forPrograms.test(flag)) : all;
};

/** Instructions and registers beyond those of the first x86-64. */
const forPrograms =
  /^(?:s?sse[\w]*|pni|avx\w*|amx_\w+|aes|vaes|v?pclmulqdq|sha(?:_ni|512)|sm[34]|gfni|fma4?|f16c|bmi[12]|tbm|xop|abm|lzcnt|popcnt|movbe|movdir\w+|adx|rdrand|rdseed|rdtscp|rdpid|rdpru|cx16|lahf_lm|clflushopt|clwb|clzero|cldemote|xsave\w*|fsgsbase|pku|ospke|rtm|hle|serialize|waitpkg|3dnow\w*|prefetchw\w*|user_shstk)$/;
