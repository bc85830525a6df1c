/** A container's limits of disk space, as its settings and the host's have them. */
import { BerthError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";
import type { ContainerConfig } from "../config/schema.ts";
import type { DriverName, VolumeLimits } from "../storage/driver.ts";
import { storageDriver } from "../storage/drivers.ts";
import { hostConfig } from "./store.ts";

/** For its volume. */
export function diskLimits(config: ContainerConfig): VolumeLimits {
  const { disk: bytes, inodes, "disk-soft": softBytes, "inodes-soft": softInodes } = config;
  const soft =
    softBytes === undefined && softInodes === undefined
      ? undefined
      : { bytes: softBytes, inodes: softInodes, grace: hostConfig()["disk-grace"] };
  return { bytes, inodes, soft, userQuota: config["quota-users"] };
}

/** The limits that it asks for and its storage driver cannot keep, in words. */
export function limitWarnings(name: string, config: ContainerConfig, storage: DriverName): readonly string[] {
  const { enforcesQuota, inodeLimit } = storageDriver(storage);
  const unkept = [
    ...(config.disk !== undefined && !enforcesQuota ? ["disk limit"] : []),
    ...(config.inodes !== undefined && inodeLimit === "none" ? ["limit of files"] : []),
  ];
  return unkept.map((limit) => `${name} has no ${limit}: storage driver ${storage} cannot keep one`);
}

/** Refuses quota of users where it would not hold. */
export async function checkUserQuota(config: ContainerConfig, storage: DriverName): Promise<void> {
  if (!config["quota-users"]) return;
  // Every privileged guest has the same ids.
  const gap =
    config.privileged && storage === "project"
      ? "privileged guests share the host's user ids; driver image keeps them apart"
      : await storageDriver(storage).userQuotaGap();
  if (gap === undefined) return;
  throw new BerthError(
    "host.missing-feature",
    `quota-users does not work here with storage driver ${storage}: ${gap}`,
    "`berth check` tells what the kernel has; leave quota-users out",
  );
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
