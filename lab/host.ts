/** A lab host as a test sees it. */
import type { RunningCommand, Terminal } from "./agent.ts";
import type { ExecOptions, ExecResult } from "./exec.ts";
import type { KindName } from "./kinds.ts";

/** MiB of a host whose test asks for nothing else. */
export const defaultMemory = 1536;

export interface HostOptions {
  /** Default: debian-13. */
  readonly kind?: KindName;
  /** A directory of this machine whose present content the host sees, read-only, at /payload. */
  readonly payload?: string;
  /** MiB; each size is saved apart. Default: defaultMemory. */
  readonly memory?: number;
}

export interface RunOptions extends ExecOptions {
  /** Exit codes besides 0 that do not throw; `true` for any. */
  readonly allow?: true | readonly number[];
}

export type RunResult = Pick<ExecResult, "code" | "stdout" | "stderr">;

export interface Host extends AsyncDisposable {
  readonly name: string;
  readonly kind: KindName;
  /** Its address on the LAN, /24. */
  readonly address: string;
  /** QEMU's process id; undefined when the host is off. */
  readonly pid: () => number | undefined;
  /**
   * Runs a command as root: a text by bash, a list as it is. Throws, with the serial console's end and the journal's, when
   * the exit code is not allowed or the limit (default 120 s) is over; the command is killed then.
   */
  readonly run: (command: string | readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Starts a command, on a terminal when one is given, and leaves its streams to the caller. */
  readonly open: (
    command: string | readonly string[],
    terminal: Terminal | undefined,
    output: (data: Uint8Array) => void,
  ) => RunningCommand;
  /** Copies a file, or a directory with all below it, to a path in the host. Its directory is made. */
  readonly put: (local: string, remote: string) => Promise<void>;
  /** Copies a file from the host. */
  readonly get: (remote: string, local: string) => Promise<void>;
  /** All that the serial console has shown since the host was made. */
  readonly console: () => Promise<string>;
  /** The journal's last `lines` (default 200). */
  readonly journal: (lines?: number) => Promise<string>;
  /** Shuts down cleanly. */
  readonly shutDown: () => Promise<void>;
  /** Cuts the power: what was not on disk is lost. */
  readonly powerOff: () => Promise<void>;
  /** Boots from the same disks after powerOff or shutDown, until commands run again. */
  readonly powerOn: () => Promise<void>;
  /** Fills the file system of a directory until only `leaveBytes` are free, for root too. Gives the path of the filling file. */
  readonly fillDisk: (path: string, leaveBytes: number) => Promise<string>;
  /** Sets the wall clock forward (or back) by seconds. */
  readonly jumpClock: (seconds: number) => Promise<void>;
  /** A TCP port on 127.0.0.1 of this machine that leads to a port of the host. */
  readonly forward: (guestPort: number) => Promise<number>;
  /** Ends the host and removes its disks. */
  readonly close: () => Promise<void>;
}

/** A host's place on its LAN. */
export interface Seat {
  readonly id: string;
  readonly address: string;
  readonly mac: string;
  readonly peer: { readonly id: string; readonly name: string; readonly address: string };
}
