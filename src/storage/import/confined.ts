/**
 * Programs of the host that parse what a stranger made: decompressors, sqfs2tar, gpgv. They run as nobody, without
 * capabilities, network or a way to get more, with bounded memory, and die with us; all they get is open files.
 */
import { needProgram, type ProgramName, programPath } from "../program.ts";

/** Addresses a program may use: sixteen times what xz -9 or zstd --ultra need. */
const MEMORY = 2 ** 31;
const NOBODY = 65534;

/** The command line that runs `program` confined. */
export function confined(program: ProgramName, args: readonly string[]): string[] {
  return [
    ...[needProgram("unshare"), "--net", "--ipc", "--"],
    ...[needProgram("setpriv"), `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"],
    ...["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--pdeathsig=KILL", "--"],
    ...[needProgram("prlimit"), `--as=${MEMORY}`, "--core=0", "--"],
    needProgram(program),
    ...args,
  ];
}

/** Nothing of our own environment. */
export const confinedEnv = { PATH: programPath, LC_ALL: "C.UTF-8" } as const;
