/** The plain tar of a spooled file, as chunks: read as it is, or made by a confined program. Never more than allowed. */
import { readFileSync, readSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { BerthError } from "../../base/errors.ts";
import type { Progress } from "../../base/progress.ts";
import { formatSize } from "../../base/units.ts";
import { refused } from "../archive/damaged.ts";
import type { UnpackLimits } from "../archive/unpack-policy.ts";
import { needProgram, type ProgramName } from "../program.ts";
import { confined, confinedEnv } from "./confined.ts";
import type { Packing } from "./packing.ts";
import type { Spool } from "./spool.ts";

const CHUNK = 1 << 18;
/** What headers and padding may add to the content of each entry. */
const PER_ENTRY = 2048;
const TELL_MILLISECONDS = 200;

/** Fails with archive.damaged when the program says so, archive.refused when it grows beyond the limits. */
export async function* unpackedStream(
  { fd, size }: Pick<Spool, "fd" | "size">,
  { filter }: Packing,
  limits: Pick<UnpackLimits, "size" | "entries">,
  progress: Progress,
  label = "unpacking it",
): AsyncGenerator<Uint8Array> {
  const most = limits.size + limits.entries * PER_ENTRY;
  let bytes = 0;
  let told = 0;
  for await (const chunk of filter === undefined ? plain(fd) : filtered(fd, filter)) {
    bytes += chunk.length;
    if (bytes > most)
      throw refused(
        `the archive is larger than ${formatSize(limits.size)} when it is unpacked`,
        "if that is right, allow more with --max-size",
      );
    progress.signal.throwIfAborted();
    if (performance.now() - told > TELL_MILLISECONDS) {
      told = performance.now();
      progress.emit({
        type: "advance",
        label,
        done: offsetOf(fd),
        total: size,
        unit: "bytes",
      });
    }
    yield chunk;
  }
}

async function* plain(fd: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (;;) {
    const got = readSync(fd, buffer, 0, CHUNK, null);
    if (got === 0) return;
    yield buffer.subarray(0, got);
    // Ctrl-C gets its turn.
    await setImmediate();
  }
}

async function* filtered(
  fd: number,
  { program, args }: { readonly program: ProgramName; readonly args: readonly string[] },
): AsyncGenerator<Uint8Array> {
  needProgram(program);
  const child = Bun.spawn(confined(program, args), {
    stdin: fd,
    stdout: "pipe",
    stderr: "pipe",
    env: confinedEnv,
  });
  const words = lastWords(child.stderr);
  try {
    yield* child.stdout;
    const code = await child.exited;
    // gzip's 2 is a warning: bytes behind the end of its stream.
    if (code !== 0 && !(program === "gzip" && code === 2))
      throw new BerthError(
        "archive.damaged",
        `the archive cannot be unpacked: ${program}: ${(await words) || `exit code ${code}`}`,
        "fetch it again, and compare its checksum with the publisher's",
      );
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

/** The end of what a program complains about, however much that is. */
async function lastWords(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text = (text + Buffer.from(chunk).toString("latin1")).slice(-4096);
  return text
    .replace(/[^\x20-\x7e\n]/g, "?")
    .trim()
    .split("\n")
    .slice(-2)
    .join("; ");
}

/** How far the file is read, by whoever shares our open file with us. */
function offsetOf(fd: number): number {
  return Number(/^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? 0);
}
