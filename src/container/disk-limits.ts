/** A container's limits of disk space, as its settings and the host's have them. */
import { BerthError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { ContainerConfig } from "../config/schema.ts";
import type { VolumeLimits } from "../storage/driver.ts";
import { hostConfig } from "./store.ts";

/** For its volume. */
export function diskLimits(config: ContainerConfig): VolumeLimits {
  const { disk: bytes, inodes, "disk-soft": softBytes, "inodes-soft": softInodes } = config;
  if (softBytes === undefined && softInodes === undefined) return { bytes, inodes };
  return { bytes, inodes, soft: { bytes: softBytes, inodes: softInodes, grace: hostConfig()["disk-grace"] } };
}

/** Refuses soft limits that are not below the hard ones: nobody would ever be warned. */
export function checkSoftLimits(name: string, config: ContainerConfig): void {
  refuse(name, "disk-soft", "disk", config["disk-soft"], config.disk, formatSize);
  refuse(name, "inodes-soft", "inodes", config["inodes-soft"], config.inodes, String);
}

function refuse(
  name: string,
  softKey: string,
  key: string,
  soft: number | undefined,
  hard: number | undefined,
  text: (value: number) => string,
): void {
  if (soft === undefined || hard === undefined || soft < hard) return;
  throw new BerthError(
    "config.invalid",
    `${name}: ${softKey} ${text(soft)} is not below ${key} ${text(hard)}`,
    `the soft limit comes first: --${key} ${text(hard)}:${text(soft)}`,
  );
}
