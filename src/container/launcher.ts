/** Starting berth-launch on a plan: its fds, and the status line by which it says how that went (native/README.md). */
import { closeSync, writeSync } from "node:fs";
import { type BerthError, describeErrno, interrupted } from "../base/errors.ts";
import { trace } from "../base/trace.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import type { ContainerLock } from "./lock.ts";

/** What failed: a step of berth-launch, an errno or 0, and both in words. */
export type LaunchFailure = { readonly step: string; readonly errno: number; readonly why: string };

export type Launched = {
  /** The words behind "ok"; throws what `failed` makes of an error. */
  readonly said: Promise<readonly string[]>;
  readonly exited: Promise<number>;
  /** Ends what is held. */
  readonly letGo: () => void;
  /** Says a word to what is held. */
  readonly tell: (word: string) => void;
  /** This process need not wait for it. */
  readonly unref: () => void;
};

/**
 * Runs a verb. The lock goes along, so that nobody who comes while it works, or after this process was killed, gets in
 * between. With `held` what it makes lasts until `letGo`, or until this process ends.
 */
export function launch(
  words: readonly string[],
  plan: Plan,
  lock: ContainerLock,
  options: { readonly held: boolean; readonly failed: (failure: LaunchFailure) => BerthError },
): Launched {
  const child = Bun.spawn([binaryPath("berth-launch"), ...words], {
    stdio: [encodePlan(plan), "pipe", "inherit", lock.fd, options.held ? "pipe" : "ignore"],
    detached: true, // a Ctrl-C is for us
    env: {
      PATH: process.env.PATH ?? "",
      ...(process.env.BERTH_ROOT === undefined ? {} : { BERTH_ROOT: process.env.BERTH_ROOT }),
    },
  });
  const control = child.stdio[4];
  return {
    said: verdict(child.stdout, options.failed).catch(async (error: unknown) => {
      await child.exited;
      // It came before it had left our terminal.
      throw child.signalCode === "SIGINT" ? interrupted(child.signalCode) : error;
    }),
    exited: child.exited,
    letGo: () => {
      if (typeof control === "number") closeSync(control);
    },
    tell: (word) => {
      if (typeof control === "number") writeSync(control, word);
    },
    unref: () => child.unref(),
  };
}

async function verdict(
  stream: ReadableStream<Uint8Array>,
  failed: (failure: LaunchFailure) => BerthError,
): Promise<readonly string[]> {
  const [word, ...rest] = (await statusLine(stream)).split(" ");
  if (word === "ok") return rest;
  const [step = "berth-launch", number = "0", ...text] = rest;
  const detail = text.join(" ") || "it ended without a word";
  const errno = Number(number);
  throw failed({ step, errno, why: errno === 0 ? detail : `${detail}: ${describeErrno(errno)}` });
}

/** The last status line; trace lines are passed on. */
async function statusLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      if (!line.startsWith("trace ")) return line;
      const [, step = "", microseconds] = line.split(" ");
      trace(`launch ${step} (${(Number(microseconds) / 1000).toFixed(2)} ms)`);
    }
  }
  return "error";
}
