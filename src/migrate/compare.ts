/** What of two hosts a guest that goes on would notice, each with its cure. Pure. */
import type { ContainerConfig } from "../config/schema.ts";
import type { Fault, HostFacts } from "./messages.ts";

/** A host as a running guest sees it; null: no CRIU that works. */
export type LiveHost = HostFacts & { readonly criu: string | null };

export type Differences = { readonly faults: readonly Fault[]; readonly warnings: readonly string[] };

const OFFLINE = "--offline stops it, moves it and starts it there";

/** Words for the source's operator: "here" is the source, "that host" the destination. */
export function differences(
  source: LiveHost,
  destination: LiveHost,
  name: string,
  { apparmor, network }: Pick<ContainerConfig, "apparmor" | "network">,
): Differences {
  const missing = source.cpuFlags.filter((flag) => !destination.cpuFlags.includes(flag));
  const isConfined = apparmor !== "none";
  const followsBridge = network.mode === "bridge" && network.mtu === undefined;
  return {
    faults: [
      ...when(missing.length > 0, {
        what: `that host's processors lack ${missing.join(", ")}`,
        cure: `hide these from the guests of a virtual machine here; ${OFFLINE}`,
      }),
      ...when(isConfined && source.apparmor === "on" && destination.apparmor !== "on", {
        what: "its processes are confined by AppArmor, which that host cannot do",
        cure: `there: ${destination.apparmor === "no-parser" ? "apt-get install apparmor" : "boot with AppArmor"}; ${OFFLINE}`,
      }),
      ...when(followsBridge && destination.mtu < source.mtu, {
        what: `the MTU of that host's bridge is ${destination.mtu}, here it is ${source.mtu}: its connections would hang`,
        cure: `give both the same; or \`berth set ${name} --mtu ${destination.mtu}\` and start it anew; ${OFFLINE}`,
      }),
    ],
    warnings: [
      ...when(
        isConfined && source.apparmor !== "on" && destination.apparmor === "on",
        "its processes go on without AppArmor on that host until it is started anew there, as they run here",
      ),
      ...when(
        isOlder(destination.kernel, source.kernel),
        `that host has an older kernel, ${destination.kernel}, than this one, ${source.kernel}: what processes use of the newer one cannot be brought back there; it then goes on here`,
      ),
      ...when(
        source.criu !== null && destination.criu !== null && isOlder(destination.criu, source.criu),
        `that host has an older CRIU, ${destination.criu}, than this one, ${source.criu}: it may not read what this one writes; it then goes on here. The same version on both helps`,
      ),
    ],
  };
}

const when = <T>(holds: boolean, told: T): T[] => (holds ? [told] : []);

/** Whether one version comes before another: "6.1.0-13-cloud-amd64" before "6.12.1". Only the first two numbers count. */
export function isOlder(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => /^(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number) ?? [0, 0]);
  const [major = 0, minor = 0] = a ?? [];
  const [otherMajor = 0, otherMinor = 0] = b ?? [];
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
