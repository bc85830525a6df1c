import { expect, test } from "bun:test";
import { KEPT_PACKETS, PACKET_BYTES } from "../network/packets.ts";
import { packFile } from "./bundle.ts";
import { takePackets } from "./live-receive.ts";

async function* packetsOf(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield packFile({ name: String(i), content: new Uint8Array(bytes) });
}

test("packets are taken in order", async () => {
  const taken = await takePackets(
    (async function* () {
      for (const name of ["a", "b"]) yield packFile({ name, content: Buffer.from(name) });
    })(),
  );
  expect(taken.map((packet) => Buffer.from(packet).toString())).toEqual(["a", "b"]);
});

test.each([
  ["too many", KEPT_PACKETS + 1, 1],
  ["one that is too long", 1, PACKET_BYTES + 1],
  ["too many bytes", 100, PACKET_BYTES],
])("%s are refused", async (_, count, bytes) => {
  await expect(takePackets(packetsOf(count, bytes))).rejects.toThrow("more packets than it can have kept");
});
