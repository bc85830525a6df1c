/** Speaking to CRIU by way of berth-launch. */
import { writeSync } from "node:fs";
import { dirname } from "node:path";
import { describeErrno, errnoOf } from "../base/errors.ts";
import type { ContainerLock } from "../container/lock.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { programPath } from "../storage/program.ts";
import type { Criu } from "./program.ts";

/** How CRIU answered: `words` are berth-launch's, and tell less than CRIU's own log. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly words: string };

/** How berth-launch runs it for a guest whose root is `owner` on the host, and shall own its user namespace (native/criu_owner.c). It finds our tar first (native/tar.h). */
export const criuWords = ({ argv }: Criu, owner: number): readonly string[] => [
  "/usr/bin/env",
  `LD_PRELOAD=${binaryPath("berth-criu.so")}`,
  `BERTH_OWNER=${owner}`,
  `PATH=${dirname(binaryPath("criu-tools/tar"))}:${programPath}`,
  ...argv,
  "swrk",
  "3",
];

/**
 * Has CRIU carry out a request on the guest whose init is `pid`; `notify` is asked at each of its points and refuses by throwing. The lock stays with
 * berth-launch: who kills this command does not let another one in while CRIU works on the guest.
 */
export async function askCriu(
  pid: number,
  words: readonly string[],
  request: Uint8Array,
  lock: ContainerLock,
  notify: (point: string) => void | Promise<void>,
): Promise<Verdict> {
  const child = Bun.spawn([binaryPath("berth-launch"), "criu", String(pid), "--", ...words], {
    stdio: [request, "pipe", "inherit", lock.fd, "pipe"],
    env: {},
  });
  const control = child.stdio[4];
  let refusal: unknown;
  for await (const line of lines(child.stdout)) {
    const [word, ...rest] = line.split(" ");
    if (word === "notify") {
      try {
        await notify(rest[0] ?? "");
      } catch (error) {
        refusal ??= error;
      }
      if (typeof control === "number") answer(control, refusal === undefined ? "y" : "n");
    } else if (word === "ok") {
      await child.exited;
      return { ok: true };
    } else if (word === "error") {
      await child.exited;
      if (refusal !== undefined) throw refusal;
      const [step = "criu", errno = "0", ...text] = rest;
      const why = errno === "0" ? "" : `: ${describeErrno(Number(errno))}`;
      return { ok: false, words: `${step}: ${text.join(" ")}${why}` };
    }
  }
  return { ok: false, words: "berth-launch ended without a word" };
}

/** Where CRIU was killed meanwhile nobody listens: its end is told next. */
function answer(control: number, byte: "y" | "n"): void {
  try {
    writeSync(control, byte);
  } catch (error) {
    if (errnoOf(error) !== "EPIPE") throw error;
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    const parts = (text + decoder.decode(chunk, { stream: true })).split("\n");
    text = parts.pop() ?? "";
    yield* parts;
  }
}
