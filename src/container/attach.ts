/** Running a command in a guest, and the operator's terminal on its console: both are verbs of berth-launch. */
import { existsSync, readFileSync } from "node:fs";
import { BerthError, describeErrno } from "../base/errors.ts";
import { containerPaths } from "../base/paths.ts";
import { trace } from "../base/trace.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { isTerminal } from "../kernel/terminal.ts";
import { mustRun } from "./container.ts";

export type AttachOptions = {
  readonly user: string | undefined;
  readonly cwd: string | undefined;
  readonly env: readonly string[];
  readonly tty: "auto" | "always" | "never";
  /** An open file whose content the command finds at `scriptPath`. */
  readonly script?: number;
  /** Told why the command could not be run when the exit code alone (126, 127) says so. */
  readonly explain: (why: string) => void;
};

/** Exit code of berth-launch for its own failures (native/README.md). */
const ATTACH_FAILED = 125;
const NOT_FOUND = 127;

/** Where a command finds the content of `AttachOptions.script` (SCRIPT_FD of native/attach.h). */
export const scriptPath = "/proc/self/fd/4";

/** Runs a command in the guest with this process's stdin, stdout and stderr; returns its exit code. */
export async function attach(name: string, argv: readonly string[], options: AttachOptions): Promise<number> {
  const status = mustRun(name);
  if (status.state === "frozen") {
    throw new BerthError(
      "container.frozen",
      `container ${name} is frozen: nothing runs in it`,
      `berth thaw ${name}`,
    );
  }
  return await attachTo(name, containerPaths(name).run, argv, options);
}

/** The same in the guest whose records are in the directory `run`. */
export async function attachTo(
  name: string,
  run: string,
  argv: readonly string[],
  options: AttachOptions,
): Promise<number> {
  const words = [
    ...(options.user === undefined ? [] : ["--user", options.user]),
    ...(options.cwd === undefined ? [] : ["--cwd", options.cwd]),
    ...options.env.flatMap((pair) => ["--env", pair]),
    "--tty",
    options.tty,
    "--status-fd",
    "3",
    ...(options.script === undefined ? [] : ["--script-fd", "4"]),
    run,
    "--",
    ...argv,
  ];
  const child = Bun.spawn([binaryPath("berth-launch"), "attach", ...words], {
    stdio: ["inherit", "inherit", "inherit", "pipe", options.script ?? "ignore"],
    env: { TERM: process.env.TERM ?? "" },
  });
  trace("berth-launch started");
  const stop = passSignals((signal) => child.kill(signal));
  const code = await child.exited;
  trace("berth-launch ended");
  stop();
  if (code < ATTACH_FAILED || code > NOT_FOUND) return code;
  const report = reportOf(child.stdio[3]);
  if (report === undefined) return code;
  const [, step = "attach", errno = "0", ...text] = report.split(" ");
  const why = errno === "0" ? text.join(" ") : `${text.join(" ")}: ${describeErrno(Number(errno))}`;
  if (code !== ATTACH_FAILED) {
    options.explain(
      `container ${name}: ${text.join(" ") || argv[0]}: ${code === NOT_FOUND ? "there is no such program in the guest" : describeErrno(Number(errno))}`,
    );
    return code;
  }
  throw new BerthError(
    "container.attach-failed",
    `container ${name}: ${step}: ${why}`,
    step === "user"
      ? "users are those of the guest's own /etc/passwd; a number does as well"
      : "`berth info` shows whether it still runs",
  );
}

/** What berth-launch wrote on the status fd: one line, or nothing when 125 is the command's own. */
function reportOf(fd: unknown): string | undefined {
  if (typeof fd !== "number") return undefined;
  const text = readFileSync(fd, "utf8").trim();
  return text.startsWith("error ") ? text : undefined;
}

const unattendedError = (name: string): BerthError =>
  new BerthError(
    "container.attach-failed",
    `container ${name} has lost its keeper, and with it its console`,
    `\`berth enter ${name}\` still works; the console is back after \`berth restart ${name}\``,
  );

/** Joins the terminal to the guest's console until the detach key; returns the exit code. */
export async function joinConsole(name: string, detachKey: number): Promise<number> {
  const status = mustRun(name);
  if (status.unattended || existsSync(containerPaths(name).adopted)) throw unattendedError(name);
  if (!isTerminal(0)) {
    throw new BerthError(
      "usage.bad-argument",
      "the console needs a terminal to join",
      "`berth log --follow` shows it without one",
    );
  }
  const child = Bun.spawn(
    [binaryPath("berth-launch"), "console", "--escape", String(detachKey), containerPaths(name).run],
    {
      stdio: ["inherit", "inherit", "inherit"],
      env: { TERM: process.env.TERM ?? "" },
    },
  );
  const stop = passSignals((signal) => child.kill(signal));
  const code = await child.exited;
  stop();
  return code;
}

/** Passes on what the guest prints on its console from now, until it ends or we are interrupted; returns the exit code. */
export async function followConsole(name: string, print: (text: Uint8Array) => void): Promise<number> {
  const status = mustRun(name);
  if (status.unattended || existsSync(containerPaths(name).adopted)) throw unattendedError(name);
  const child = Bun.spawn(
    [binaryPath("berth-launch"), "console", "--escape", "0", containerPaths(name).run],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: {},
    },
  );
  let interrupted = false;
  const end = (): void => {
    interrupted = true;
    child.kill();
  };
  process.on("SIGINT", end).on("SIGTERM", end);
  for await (const chunk of child.stdout) print(chunk);
  const code = await child.exited;
  return interrupted ? 0 : code;
}

/** The child deals with what the terminal sends to both; what is sent to us alone is passed on. */
function passSignals(send: (signal: NodeJS.Signals) => void): () => void {
  const ignore = (): void => {};
  const pass = (): void => send("SIGTERM");
  process.on("SIGINT", ignore).on("SIGQUIT", ignore).on("SIGTERM", pass).on("SIGHUP", pass);
  return () => {
    process.off("SIGINT", ignore).off("SIGQUIT", ignore).off("SIGTERM", pass).off("SIGHUP", pass);
  };
}
