/** Running a script of the host in a container, whether or not that runs. No file of it is left in the guest. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { asBerthError, BerthError } from "../base/errors.ts";
import { type AttachOptions, attach, attachTo, scriptPath } from "./attach.ts";
import { openByName, withContainer } from "./container.ts";
import { withHeldGuest } from "./held.ts";
import { statusOf } from "./status.ts";

export type ScriptOptions = Omit<AttachOptions, "script"> & {
  /** A stopped container gets its links, and not loopback alone. */
  readonly network: boolean;
};

/** The interpreter that the first line names, and its argument as the kernel takes it: all the rest of the line. */
export function interpreterOf(head: Uint8Array): readonly string[] {
  const line = Buffer.from(head).toString("latin1").split("\n", 1)[0] ?? "";
  const [, program, argument] = /^#![ \t]*([^ \t]+)(?:[ \t]+(.*?))?[ \t]*$/s.exec(line) ?? [];
  if (program === undefined) return ["/bin/sh"];
  return [program, ...(argument === undefined || argument === "" ? [] : [argument])].map((word) =>
    Buffer.from(word, "latin1").toString(),
  );
}

/** Runs the script with this process's stdin, stdout and stderr; returns its exit code. */
export async function runScript(
  word: string,
  file: string,
  args: readonly string[],
  options: ScriptOptions,
): Promise<number> {
  const script = openScript(file);
  try {
    const argv = [...interpreterOf(headOf(script)), scriptPath, ...args];
    const name = await openByName(word);
    const code = await inStopped(name, argv, { ...options, script });
    return code ?? (await attach(name, argv, { ...options, script }));
  } finally {
    closeSync(script);
  }
}

/** Undefined when the container runs. */
async function inStopped(
  name: string,
  argv: readonly string[],
  options: ScriptOptions & { readonly script: number },
): Promise<number | undefined> {
  if (statusOf(name).state !== "stopped") return undefined;
  return await withContainer(name, async (container) =>
    statusOf(name).state === "stopped"
      ? await withHeldGuest(container, options, (run) => attachTo(name, run, argv, options))
      : undefined,
  );
}

/** As long as the kernel looks for an interpreter's name (BINPRM_BUF_SIZE). */
const HEAD = 256;

function headOf(fd: number): Uint8Array {
  const head = new Uint8Array(HEAD);
  // By position: the offset stays at the beginning.
  return head.subarray(0, readSync(fd, head, 0, HEAD, 0));
}

function openScript(file: string): number {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new BerthError(
      "usage.bad-argument",
      `FILE: ${asBerthError(error).message}`,
      "name a script on this host",
      error,
    );
  }
  const fault = faultOf(fd);
  if (fault === undefined) return fd;
  closeSync(fd);
  throw new BerthError(
    "usage.bad-argument",
    `FILE: ${file} ${fault}`,
    "name a script on this host; `berth cp` and `berth exec` bring in and run a program",
  );
}

function faultOf(fd: number): string | undefined {
  if (!fstatSync(fd).isFile()) return "is not a regular file";
  const head = headOf(fd);
  return Buffer.from(head.subarray(0, 4)).toString("latin1") === "\x7fELF"
    ? "is a program, not a script"
    : undefined;
}
