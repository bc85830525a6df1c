/** The LAN between two hosts: datagrams between unix sockets, one for each end. */
import { existsSync, renameSync } from "node:fs";
import { labError } from "./error.ts";
import type { Host } from "./host.ts";
import { machineSockets } from "./machine.ts";
import type { Session } from "./session.ts";

export interface SlowOptions {
  readonly rateKbit?: number;
  /** Added in each direction. */
  readonly delayMs?: number;
}

export interface Lan {
  /** Loses every frame from now on, with the link still up on both sides, as a dead switch does. */
  readonly cut: () => Promise<void>;
  /** Undoes cut and slow. */
  readonly restore: () => Promise<void>;
  /** Shapes what each host sends on its eth1. */
  readonly slow: (options: SlowOptions) => Promise<void>;
}

export interface LanEnd {
  readonly host: Host;
  readonly id: string;
}

/** The LAN of two hosts that were made with crossed sockets. */
export function makeLan(session: Session, ends: readonly [LanEnd, LanEnd]): Lan {
  const sockets = ends.map(({ id }) => machineSockets(session.socketDir, id, id).lan);
  const bothRun = (command: string): Promise<unknown> =>
    Promise.all(ends.filter(({ host }) => host.pid()).map(({ host }) => host.run(command)));
  return {
    cut: async () => {
      for (const path of sockets) moveIfThere(path, `${path}-cut`);
    },
    restore: async () => {
      for (const path of sockets) moveIfThere(`${path}-cut`, path);
      await bothRun("tc qdisc delete dev eth1 root 2> /dev/null || true");
    },
    slow: async ({ rateKbit, delayMs }) => {
      if (rateKbit === undefined && delayMs === undefined)
        throw labError("slow: give rateKbit, delayMs or both");
      const rate = rateKbit === undefined ? "" : ` rate ${rateKbit}kbit`;
      const delay = delayMs === undefined ? "" : ` delay ${delayMs}ms`;
      await bothRun(`tc qdisc replace dev eth1 root netem limit 10000${delay}${rate}`);
    },
  };
}

/** A sender looks its peer's path up for every datagram, so a moved socket is a cut cable. */
function moveIfThere(from: string, to: string): void {
  if (existsSync(from)) renameSync(from, to);
}
