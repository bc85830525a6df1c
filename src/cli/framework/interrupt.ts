/** Ctrl-C: the first asks the operation to undo itself, the second ends berth at once (the next command then tidies up). */
import { interrupted } from "../../base/errors.ts";

export type Interrupt = {
  readonly signal: AbortSignal;
  /** 128 + signal number, once a signal has come. */
  readonly exitCode: () => number | undefined;
};

/** signal(7): SIGHUP, SIGINT, SIGTERM. */
const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
type Name = keyof typeof numbers;

/** Installs the handlers; `notify` is told of the first signal. */
export function catchInterrupt(notify: (name: Name) => void): Interrupt {
  const controller = new AbortController();
  let exitCode: number | undefined;
  for (const name of Object.keys(numbers) as Name[]) {
    process.on(name, () => {
      if (exitCode !== undefined) process.exit(exitCode);
      exitCode = 128 + numbers[name];
      notify(name);
      controller.abort(interrupted(name));
    });
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}
