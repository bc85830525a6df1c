/** Compressing an archive by a program of the host while it is written. */
import { BerthError } from "../../base/errors.ts";
import { needProgram, programError, programPath } from "../program.ts";
import type { Write } from "./tar-writer.ts";

/** All processors; checksums of its own in each. */
const programs = {
  zstd: ["-q", "-T0", "--check", "-c"],
  gzip: ["-n", "-c"],
  xz: ["-q", "-T0", "-c"],
} as const;

export const compressions = ["zstd", "gzip", "xz", "none"] as const;

export type Compression = (typeof compressions)[number];

const endings: Readonly<Record<string, Compression>> = {
  zst: "zstd",
  zstd: "zstd",
  tzst: "zstd",
  gz: "gzip",
  tgz: "gzip",
  xz: "xz",
  txz: "xz",
  tar: "none",
};

/** What a file's name promises; undefined when it promises nothing. */
export function compressionOf(file: string): Compression | undefined {
  return endings[/\.([a-z]+)$/.exec(file)?.[1] ?? ""];
}

/** Runs `work` with what takes plain bytes; they are all compressed and in `fd` when this returns. */
export async function compressing<T>(
  compression: Exclude<Compression, "none">,
  fd: number,
  file: string,
  work: (write: Write) => Promise<T>,
): Promise<T> {
  const child = Bun.spawn([needProgram(compression), ...programs[compression]], {
    stdin: "pipe",
    stdout: fd,
    stderr: "pipe",
    env: { PATH: programPath, LC_ALL: "C.UTF-8" },
  });
  const words = new Response(child.stderr).text();
  const ended = async (): Promise<BerthError> => {
    const code = await child.exited;
    const ran = { code, stdout: "", stderr: await words };
    return programError("storage.failed", `cannot write ${file}`, compression, ran);
  };
  let done = false;
  try {
    const result = await work(async (bytes) => {
      if (child.exitCode !== null || child.signalCode !== null) throw await ended();
      child.stdin.write(bytes);
      await child.stdin.flush();
    });
    await child.stdin.end();
    if ((await child.exited) !== 0) throw await ended();
    done = true;
    return result;
  } catch (error) {
    // A full disk is told by the program, while we only see that it is gone.
    if (!(error instanceof BerthError) && (child.exitCode ?? 0) > 0) throw await ended();
    throw error;
  } finally {
    if (!done) child.kill("SIGKILL");
    await child.exited;
  }
}
