/** A container's AppArmor profile, and a stacked one's namespace: loaded before init, gone with it. */
import { writeFileSync } from "node:fs";
import { readIfExists } from "../base/files.ts";
import { containerPaths } from "../base/paths.ts";
import type { ContainerConfig } from "../config/schema.ts";
import {
  apparmorState,
  loadProfile,
  makeNamespace,
  namespaceDir,
  profileOf,
  replaceFile,
  unloadProfile,
} from "../kernel/apparmor.ts";
import type { PlanRecord } from "../kernel/plan.ts";
import {
  apparmorLabel,
  apparmorProfiles,
  namespaceOf,
  placeholderName,
  profileNameOf,
} from "../launch/apparmor.ts";
import type { LaunchFacts } from "../launch/plan.ts";

/** Whether a container of these settings runs under a profile of its own on this host. */
export const usesApparmor = ({ apparmor }: ContainerConfig): boolean =>
  apparmor !== "none" && apparmorState() === "on";

/** What a start loads into the kernel, by the names that take it out again; the label that init runs under. */
export function apparmorFacts(config: ContainerConfig, uuid: string): LaunchFacts["apparmor"] {
  if (!usesApparmor(config)) return undefined;
  const profile = profileNameOf(uuid);
  return {
    label: apparmorLabel(config, uuid),
    loaded: [...(config.apparmor === "stacked" ? [namespaceOf(profile)] : []), profile],
  };
}

/** Loads the container's profile, and makes a stacked one's namespace; the record of it is written first, so that whoever cleans up knows of it. */
export function confineByApparmor(name: string, config: ContainerConfig, uuid: string): void {
  const facts = apparmorFacts(config, uuid);
  if (facts === undefined) return;
  const profile = profileNameOf(uuid);
  writeFileSync(containerPaths(name).apparmor, facts.loaded.join("\n"), { mode: 0o600 });
  loadProfile(profileOf(apparmorProfiles(config), placeholderName, profile));
  if (config.apparmor === "stacked") makeNamespace(profile);
}

/** What confineByApparmor() does, as data. */
export function apparmorRecords(name: string, config: ContainerConfig, uuid: string): readonly PlanRecord[] {
  const facts = apparmorFacts(config, uuid);
  if (facts === undefined) return [];
  const profile = profileNameOf(uuid);
  const policy = profileOf(apparmorProfiles(config), placeholderName, profile);
  return [
    ["put", containerPaths(name).apparmor, "600", Buffer.from(facts.loaded.join("\n"))],
    ["write", replaceFile, policy, "must"],
    ...(config.apparmor === "stacked" ? [["makeDir", namespaceDir(profile), "755", "any"] as const] : []),
  ];
}

/** Takes out of the kernel what the record names. */
export function releaseApparmor(record: string): void {
  for (const loaded of readIfExists(record)?.split("\n") ?? []) unloadProfile(loaded);
}
