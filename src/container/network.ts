/** The container's address: what its settings ask for, claimed before it is used. */
import { existsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { instance } from "../base/paths.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { mustRun, runProgram } from "../kernel/run.ts";
import { claimAddress, releaseAddress } from "../network/addresses.ts";
import { ensureBridge, subnetOf } from "../network/bridge.ts";
import { contains, type Subnet, toNumber } from "../network/ipv4.ts";
import { hostLink } from "../network/records.ts";
import type { LockedContainer } from "./container.ts";
import { statusOf } from "./status.ts";
import { type ContainerState, hostConfig, loadConfig, loadState, saveState } from "./store.ts";

/** Makes the host's side of the network, and follows an address that was changed in the settings. */
export async function reconcileNetwork({ name, config, state }: LockedContainer): Promise<ContainerState> {
  if (config.network.mode === "none") {
    return state.address === null ? state : moveAddress(name, state, null);
  }
  const subnet = subnetOf(hostConfig());
  await ensureBridge(subnet);
  if (isWanted(config, state, subnet)) return state;
  return moveAddress(name, state, claimAddress(config.network.address, state.uuid, subnet));
}

/** Whether the container's address is what its settings ask for; `auto` asks for one of the bridge's subnet. */
function isWanted(config: ContainerConfig, { address }: ContainerState, subnet: Subnet): boolean {
  if (address === null) return false;
  const wanted = config.network.address;
  const own = address.split("/")[0] ?? "";
  if (wanted === "auto") return contains(subnet, toNumber(own));
  return own === wanted.split("/")[0] && (!wanted.includes("/") || address === wanted);
}

/** Refuses settings whose address could not be had, or not work, before anything is changed. */
export function checkAddress(config: ContainerConfig, state: Pick<ContainerState, "uuid" | "address">): void {
  const { mode, address, gateway } = config.network;
  if (mode === "none" || address === "auto") return;
  const subnet = subnetOf(hostConfig());
  const own = address.split("/")[0] ?? "";
  if (!contains(subnet, toNumber(own)) && gateway === undefined) {
    throw new BerthError(
      "network.failed",
      `${own} is not in the bridge's subnet and has no gateway`,
      "choose one of that subnet (`berth ls` shows those in use), or name a gateway with --gateway",
    );
  }
  if (own === state.address?.split("/")[0]) return;
  releaseAddress(claimAddress(address, state.uuid, subnet), state.uuid);
}

/** Noted before the old address is given back, so that a crash never leaves a container with another's. */
function moveAddress(name: string, state: ContainerState, address: string | null): ContainerState {
  const moved = { ...state, address };
  saveState(name, moved);
  if (state.address !== null) releaseAddress(state.address, state.uuid);
  return moved;
}

/** Takes the host's end of its link: a connection of a guest that was killed unheard keeps its network, and that link, for minutes. */
export async function removeLink(name: string): Promise<void> {
  const link = hostLink(instance.linkPrefix, name);
  if (existsSync(`/sys/class/net/${link}`))
    await runProgram(["ip", "link", "del", "dev", link], { package: "iproute2" }); // or it is gone by now
}

/** Told by a host that has a guest's MAC now: bridges on the way learn where it is. Its own setting is put back. */
const ANNOUNCE = `at=/proc/sys/net/ipv4/conf/eth0/arp_notify; read was < $at; echo 1 > $at
ip link set dev eth0 address "$1"; echo "$was" > $at`;

/** Raises the link of a guest that nobody was to hear, and lets the network know where it is: then it is `heard`, and hears. */
export async function connectGuest(name: string, heard: () => Promise<void> = async () => {}): Promise<void> {
  const status = statusOf(name);
  const { mac } = loadState(name);
  if (status.state === "stopped" || loadConfig(name).network.mode === "none") return;
  const link = hostLink(instance.linkPrefix, name);
  const tools = { package: "iproute2" };
  await mustRun(["ip", "link", "set", "dev", link, "master", instance.bridge, "up"], tools);
  const inside = ["nsenter", `--net=/proc/${status.init.pid}/ns/net`, "--", "/bin/sh", "-c", ANNOUNCE, "sh"];
  await runProgram([...inside, mac], tools);
  await heard();
}
