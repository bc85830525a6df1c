/** Two hosts on one LAN, which here are network namespaces: each has a berth of its own, and a third sees both. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { berthBinary, newWorldBy, run, type World } from "./world.ts";

const SUBNET = "10.251.7";
const inNetns = resolve(import.meta.dir, "in-netns.sh");

export type Host = {
  readonly world: World;
  readonly netns: string;
  /** Words that run a program with this host's network. */
  readonly within: readonly string[];
  /** A program by which the other host reaches this one (--rsh). */
  readonly way: string;
};

export type TwoHosts = {
  readonly a: Host;
  readonly b: Host;
  /** Words that run a program on the LAN beside them. */
  readonly onLan: readonly string[];
  readonly end: () => Promise<void>;
};

const ip = async (...words: readonly string[]): Promise<void> => {
  const { code, stderr } = await run(["ip", ...words]);
  if (code !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`);
};

/** Makes them; `tag` tells their network namespaces from others'. */
export async function twoHosts(tag: string, ...templates: readonly string[]): Promise<TwoHosts> {
  const netnsOf = (side: string): string => `t-${tag}-${side}-${process.pid}`;
  const lan = netnsOf("lan");
  await ip("netns", "add", lan);
  await ip("-n", lan, "link", "add", "lan", "type", "bridge");
  await ip("-n", lan, "addr", "add", `${SUBNET}.200/24`, "dev", "lan");
  await ip("-n", lan, "link", "set", "lan", "up");
  const a = await hostOn(lan, netnsOf("a"), "a", templates);
  const b = await hostOn(lan, netnsOf("b"), "b", templates);
  return {
    ...{ a, b, onLan: [inNetns, lan] },
    end: async () => {
      await a.world.end();
      await b.world.end();
      for (const side of ["a", "b", "lan"]) await run(["ip", "netns", "del", netnsOf(side)]);
    },
  };
}

/** A host on the LAN: berth's bridge is there already, and has a link to it. */
async function hostOn(lan: string, netns: string, side: string, templates: readonly string[]): Promise<Host> {
  await ip("netns", "add", netns);
  const within = [inNetns, netns];
  const world = await newWorldBy(within, ...templates);
  const { bridge, etc } = world.at;
  mkdirSync(etc, { recursive: true });
  writeFileSync(`${etc}/berth.yaml`, `network: {subnet: ${SUBNET}.0/24}\n`);
  await ip("-n", netns, "link", "set", "lo", "up");
  await ip("-n", netns, "link", "add", bridge, "type", "bridge");
  await ip("-n", netns, "addr", "add", `${SUBNET}.1/24`, "dev", bridge);
  await ip("-n", netns, "link", "set", bridge, "up");
  await ip("-n", netns, "link", "add", "up0", "type", "veth", "peer", "name", side, "netns", lan);
  await ip("-n", netns, "link", "set", "dev", "up0", "master", bridge, "up");
  await ip("-n", lan, "link", "set", "dev", side, "master", "lan", "up");
  return { world, netns, within, way: wayTo(world, within) };
}

/** How the other side is reached; its pid is noted in the world's `receiver`. */
function wayTo({ root }: World, within: readonly string[]): string {
  const file = `${root}/rsh`;
  const berth = `exec env BERTH_ROOT=${root} ${within.join(" ")} ${berthBinary} "$@"`;
  writeFileSync(file, `#!/bin/sh\necho $$ > ${root}/receiver\n${berth}\n`);
  chmodSync(file, 0o755);
  return file;
}
