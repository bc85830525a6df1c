/**
 * The lab: throw-away Debian hosts for tests.
 *
 *     const h1 = await lab.host("h1", { kind: "debian-13", payload: "dist" });
 *     await h1.run("berth check");
 *
 * Everything ends with `lab.close()`, and with the process however that ends.
 */
import { defaultMemory, type Host, type HostOptions } from "./host.ts";
import { ensureImage } from "./image.ts";
import type { KindName } from "./kinds.ts";
import { type Lan, makeLan } from "./lan.ts";
import { makeHost, type Seat } from "./make-host.ts";
import { findQemu } from "./qemu.ts";
import { ensureSaved } from "./saved.ts";
import { openSession, type Session } from "./session.ts";

export type { Host, HostOptions, RunOptions, RunResult } from "./host.ts";
export { hostKinds, isKindName, type KindName } from "./kinds.ts";
export type { Lan, SlowOptions } from "./lan.ts";

export interface Pair extends AsyncDisposable {
  readonly h1: Host;
  readonly h2: Host;
  readonly lan: Lan;
  readonly close: () => Promise<void>;
}

let session: Session | undefined;
let seats = 0;
const hosts = new Set<Host>();

export const lab = {
  /** Builds and saves what hosts of a kind are made from, so that a later `host` takes seconds. */
  prepare: async (kind: KindName = "debian-13", memory: number = defaultMemory): Promise<void> => {
    await ensureSaved(kind, await ensureImage(kind), await findQemu(), memory);
  },

  /** A host alone on its LAN. */
  host: async (name: string, options: HostOptions = {}): Promise<Host> => {
    const [seat] = seatPair(name, "nobody");
    return keep(await makeHost(theSession(), seat, options));
  },

  /** Two hosts, `h1` (10.9.0.1) and `h2` (10.9.0.2), on a LAN of their own. They know each other's names and ssh keys. */
  pair: async (options: HostOptions = {}): Promise<Pair> => {
    const [seat1, seat2] = seatPair("h1", "h2");
    const make = (seat: Seat): Promise<Host> => makeHost(theSession(), seat, options).then(keep);
    const [h1, h2] = await Promise.all([make(seat1), make(seat2)]);
    const close = async (): Promise<void> => {
      await Promise.all([h1.close(), h2.close()]);
    };
    const lan = makeLan(theSession(), [
      { host: h1, id: seat1.id },
      { host: h2, id: seat2.id },
    ]);
    return { h1, h2, lan, close, [Symbol.asyncDispose]: close };
  },

  /** Ends all hosts and removes what they left. */
  close: async (): Promise<void> => {
    await Promise.all([...hosts].map((host) => host.close()));
    hosts.clear();
    await session?.end();
    session = undefined;
  },
};

function theSession(): Session {
  session ??= openSession();
  return session;
}

function keep(host: Host): Host {
  hosts.add(host);
  return host;
}

/** Two places on a new LAN. */
function seatPair(name1: string, name2: string): readonly [Seat, Seat] {
  seats += 2;
  const end = (number: 1 | 2, name: string) => ({
    id: `${seats - 2 + number}`,
    name,
    address: `10.9.0.${number}`,
  });
  const seat = (self: Seat["peer"], peer: Seat["peer"], mac: string): Seat => ({ ...self, mac, peer });
  const [end1, end2] = [end(1, name1), end(2, name2)];
  return [seat(end1, end2, "52:54:00:bb:01:01"), seat(end2, end1, "52:54:00:bb:01:02")];
}
