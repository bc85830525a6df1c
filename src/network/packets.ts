/**
 * What comes for a guest that stands still: kept by the kernel on its host's link, and put on its link where it goes on.
 * Else a client sends anew only when its own timer runs out, and each time that takes twice as long. Nobody depends on it:
 * whatever fails here is a packet that was lost on the way.
 */
import { readFileSync } from "node:fs";
import { endianness } from "node:os";
import { libc, ptr } from "../kernel/libc.ts";

// packet(7), include/uapi/linux/if_packet.h, linux/filter.h.
const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const MSG_DONTWAIT = 0x40;
const PACKET_OUTGOING = 4;
const SKF_AD_PKTTYPE = 0xfffff004;

/** What is kept at most, with what the kernel counts beside the packets; and the longest of them, with struct virtio_net_hdr. */
const KEPT_BYTES = 4 << 20;
export const KEPT_PACKETS = 4096;
export const PACKET_BYTES = 128 << 10;
/** The kernel doubles what it is told to keep (socket(7), SO_RCVBUF). */
export const MOST_BYTES = 2 * KEPT_BYTES;

/** A packet as the kernel gives and takes it: struct virtio_net_hdr, which tells what of its sums is still to be done, and the frame. */
export type Packet = Uint8Array;

export type Kept = Disposable & {
  /** Keeps what comes from now on; said again, what came before is forgotten. */
  readonly begin: () => void;
  /** What has come since, in order. */
  readonly take: () => readonly Packet[];
};

/** Only what the host sends on that link: what it hears there is the guest's own. */
function onlyOutgoing(): Buffer {
  const load = [0x30, 0, 0, SKF_AD_PKTTYPE] as const;
  const compare = [0x15, 0, 1, PACKET_OUTGOING] as const;
  const all = [0x06, 0, 0, 0xffffffff] as const;
  const none = [0x06, 0, 0, 0] as const;
  return Buffer.concat(
    [load, compare, all, none].map(([code, yes, no, k]) => {
      const instruction = Buffer.alloc(8);
      instruction.writeUInt16LE(code, 0);
      instruction.writeUInt8(yes, 2);
      instruction.writeUInt8(no, 3);
      instruction.writeUInt32LE(k, 4);
      return instruction;
    }),
  );
}

/** A packet socket on a link; undefined where there is none. `protocol` 0 hears nothing. */
function open(link: string, protocol: number): number | undefined {
  const { socket, bind, close, setsockopt } = libc();
  const fd = socket(AF_PACKET, SOCK_RAW_CLOEXEC, 0);
  if (fd < 0) return undefined;
  const set = (level: number, option: number, value: Buffer): boolean =>
    setsockopt(fd, level, option, ptr(value), value.length) === 0;
  const number = (value: number): Buffer => {
    const buffer = Buffer.alloc(4);
    buffer.writeInt32LE(value);
    return buffer;
  };
  const filter = onlyOutgoing();
  const program = Buffer.alloc(16);
  program.writeUInt16LE(filter.length / 8, 0);
  program.writeBigUInt64LE(BigInt(ptr(filter)), 8);
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(protocol, 2);
  address.writeInt32LE(indexOf(link), 4);
  const good =
    endianness() === "LE" &&
    set(SOL_PACKET, PACKET_VNET_HDR, number(1)) &&
    set(SOL_SOCKET, SO_RCVBUFFORCE, number(KEPT_BYTES)) &&
    set(SOL_SOCKET, SO_ATTACH_FILTER, program) &&
    bind(fd, ptr(address), address.length) === 0;
  if (good) return fd;
  close(fd);
  return undefined;
}

function indexOf(link: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${link}/ifindex`, "utf8"));
  } catch {
    return -1; // bind refuses it
  }
}

/** Keeps what is sent to the guest behind a link of the host's. */
export function keepPackets(link: string): Kept {
  let fd: number | undefined;
  const end = (): void => {
    if (fd !== undefined) libc().close(fd);
    fd = undefined;
  };
  return {
    begin: () => {
      end();
      fd = open(link, ETH_P_ALL);
    },
    take: () => (fd === undefined ? [] : [...packetsOf(fd)]),
    [Symbol.dispose]: end,
  };
}

function* packetsOf(fd: number): Generator<Packet> {
  const buffer = Buffer.alloc(PACKET_BYTES);
  const next = (): number => Number(libc().recv(fd, ptr(buffer), buffer.length, MSG_DONTWAIT));
  for (let taken = 0; taken < KEPT_PACKETS; taken += 1) {
    let length = next();
    // The link is gone meanwhile: that is told once, before what had come by it.
    if (length < 0 && taken === 0) length = next();
    if (length <= 0) return;
    yield Buffer.from(buffer.subarray(0, length));
  }
}

/** Puts packets on the link of a guest that goes on. */
export function deliverPackets(link: string, packets: readonly Packet[]): void {
  const fd = packets.length === 0 ? undefined : open(link, 0);
  if (fd === undefined) return;
  for (const packet of packets) libc().send(fd, ptr(packet), packet.length, MSG_DONTWAIT);
  libc().close(fd);
}
