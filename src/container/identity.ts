/**
 * Files that tell a guest who it is. They are written when what they say has changed (address, name, servers), not at
 * every start: what the guest's own administrator wrote there stays.
 */
import type { ContainerConfig, HostConfig } from "../config/schema.ts";
import type { GuestFile } from "../launch/plan.ts";
import { hostServers, hostsFile, resolvConf } from "../network/records.ts";
import type { ContainerState } from "./store.ts";

export function identityFiles(
  name: string,
  config: ContainerConfig,
  state: ContainerState,
  host: HostConfig,
): GuestFile[] {
  const hostname = config.hostname ?? name;
  const servers = config.network.dns ?? host.network.dns ?? hostServers();
  const file = (path: string, content: string, when: GuestFile["when"] = "always"): GuestFile => ({
    path,
    mode: "644",
    when,
    content,
  });
  return [
    file("/etc/hostname", `${hostname}\n`),
    file("/etc/hosts", hostsFile(hostname, state.address ?? undefined)),
    ...(config.network.mode === "none"
      ? []
      : [file("/etc/resolv.conf", resolvConf(servers, config.network.search ?? []))]),
    // A clone lies on what another one has written.
    file(
      "/etc/machine-id",
      `${state.uuid.replaceAll("-", "")}\n`,
      state.identity === "" ? "always" : "empty",
    ),
  ];
}
