/**
 * What a changing operation is about to do, written before it does it: a command that is killed half way is
 * completed or undone by whoever takes the container's lock next (recover.ts).
 */
import { existsSync, rmSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { readIfExists, syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { DriverName, Layer, VolumeLimits } from "../storage/driver.ts";

export type Owner = { readonly uuid: string; readonly storage: DriverName };

export type Intent =
  | (Owner & {
      readonly operation: "create" | "remove";
      /** What the new container lies on. */
      readonly layers?: readonly Layer[];
    })
  | (Owner & {
      readonly operation: "resize";
      /** What the volume shall have; an absent limit is none. */
      readonly limits: Partial<VolumeLimits>;
      /** config.yaml as it shall read then. */
      readonly config: string;
    })
  /** The volume becomes a layer, a new one lies on it. Undone unless somebody else has taken to the layer. */
  | (Owner & { readonly operation: "freeze"; readonly layers: readonly Layer[] })
  /** Layers are being made for somebody; without an owner they go. `thaw`: the guest stands still for a moment of it. */
  | (Owner & {
      readonly operation: "copy";
      readonly layers: readonly Layer[];
      readonly thaw: boolean;
      /** Whether its processes are being written beside them. */
      readonly remembers?: boolean;
    })
  /** A new volume on other layers takes the place of the volume, which is kept as `old` until then. */
  | (Owner & {
      readonly operation: "replace";
      readonly layers: readonly Layer[];
      readonly old: string;
      /** Whether processes are brought back on it: that decides whether it stands. RUNDIR/init tells. */
      readonly revives?: boolean;
      /** Whether it lies on these layers already: state.json then does not tell whether this was done. */
      readonly same?: boolean;
    })
  /** Its processes are being written to checkpoint/; state.json tells whether that is done. */
  | (Owner & { readonly operation: "suspend" })
  /** They are being brought back; RUNDIR/init tells whether that is done. */
  | (Owner & { readonly operation: "resume" })
  /** Volume and layers are being copied to another driver; state.json tells whether that is done. */
  | (Owner & {
      readonly operation: "move";
      readonly to: DriverName;
      readonly layers: readonly Layer[];
      /** Ids of layers, old to new. */
      readonly copies: Readonly<Record<string, string>>;
    })
  /** It is leaving for another host (migrate/phases.ts). `layers`: copies made for the move. */
  | (Owner & {
      readonly operation: "depart";
      /** Of the migration. */
      readonly id: string;
      /** How the other side is reached, for people and for asking again. */
      readonly to: Destination;
      readonly mark: "moving" | "committing" | "gone";
      readonly layers: readonly Layer[];
      /** Whether it stays here, stopped, once it is there. */
      readonly keep: boolean;
      /** Whether its guest is frozen for it. */
      readonly live: boolean;
    })
  /** It has come from another host and is whole, and waits for a word of it. */
  | (Owner & {
      readonly operation: "arrive";
      readonly id: string;
      readonly layers: readonly Layer[];
      readonly live: boolean;
      readonly shouldRun: boolean;
    });

/** Another host with berth. */
export type Destination = {
  /** As it was written: "root@host2". */
  readonly host: string;
  /** The program that brings berth's words there, when it is not ssh. */
  readonly rsh: readonly string[] | null;
};

export type IntentOf<O extends Intent["operation"]> = Extract<Intent, { operation: O }>;

export function declareIntent(name: string, intent: Intent): void {
  writeAtomic(
    containerPaths(name).intent,
    `${JSON.stringify({ version: 1, since: new Date().toISOString(), ...intent })}\n`,
  );
}

/** The operation is done. */
export function clearIntent(name: string): void {
  rmSync(containerPaths(name).intent, { force: true });
  syncDir(containerPaths(name).dir);
}

export function readIntent(name: string): Intent | undefined {
  const text = readIfExists(containerPaths(name).intent);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Intent; // written by declareIntent, atomically
  } catch (error) {
    throw new BerthError(
      "config.unreadable",
      `${containerPaths(name).intent} is damaged`,
      "remove it if no other berth command runs",
      error,
    );
  }
}

/** Whether an operation was cut short (or is under way by somebody who holds the lock). */
export const hasIntent = (name: string): boolean =>
  existsSync(containerPaths(name).intent) || !existsSync(containerPaths(name).state);
