import { expect, test } from "bun:test";

const root = process.getuid?.() === 0;

/** Two ends of a link, one of them as a guest's; what comes for it while it hears nothing is kept and given to it later. */
const script = `
const { keepPackets, deliverPackets } = await import(process.env.PACKETS);
import { createSocket } from "node:dgram";
const shell = (line: string) => { const r = Bun.spawnSync(["/bin/sh", "-c", line]); if (r.exitCode !== 0) throw new Error(r.stderr.toString()); };
shell("ip link add h0 type veth peer name g0 && ip addr add 10.9.9.1/24 dev h0 && ip link set h0 up && ip link set g0 up && ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev h0");
const kept = keepPackets("h0"); kept.begin();
const socket = createSocket("udp4");
const send = (text: string) => new Promise<void>((done) => socket.send(text, 7, "10.9.9.2", () => done()));
await send("one"); await send("two"); await Bun.sleep(20);
const texts = (packets: readonly Uint8Array[]) => packets.map((packet) => Buffer.from(packet).subarray(-3).toString("latin1")).filter((text) => /one|two/.test(text));
const packets = kept.take();
const heard = keepPackets("g0"); heard.begin();
console.log(JSON.stringify({ kept: texts(packets), again: kept.take().length }));
const counter = "/sys/class/net/g0/statistics/rx_packets";
const before = Number(await Bun.file(counter).text());
deliverPackets("h0", packets);
console.log(JSON.stringify({ delivered: Number(await Bun.file(counter).text()) - before === packets.length, own: texts(heard.take()) }));
shell("ip link del h0");
const none = keepPackets("h0"); none.begin();
console.log(JSON.stringify({ gone: kept.take().length >= 0, none: none.take() }));
deliverPackets("h0", packets);
socket.close();
`;

test.skipIf(!root)(
  root
    ? "what comes for a link is kept in order, and put on it later; a link that is gone is none"
    : "SKIP: needs root",
  async () => {
    const inside = ["unshare", "-n", "-m", "/bin/sh", "-c", 'mount -t sysfs sysfs /sys; exec "$@"', "sh"];
    const child = Bun.spawn([...inside, process.execPath, "-e", script], {
      env: { ...process.env, PACKETS: `${import.meta.dir}/packets.ts` },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    const code = await child.exited;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { kept: ["one", "two"], again: 0 },
      { delivered: true, own: [] },
      { gone: true, none: [] },
    ]);
  },
);
