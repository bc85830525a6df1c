/** Creating a container: an identity of its own, an empty volume over a template, settings to edit. */
import { existsSync, mkdirSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { makeDirs, syncDir, writeAtomic } from "../base/files.ts";
import { containerPaths, instance } from "../base/paths.ts";
import { newConfigText } from "../config/new.ts";
import { type ConfigChanges, parseContainerConfig } from "../config/parse.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { claimAddress, macOf } from "../network/addresses.ts";
import { subnetOf } from "../network/bridge.ts";
import { contains, toNumber } from "../network/ipv4.ts";
import type { DriverName } from "../storage/driver.ts";
import { chooseDriver, storageDriver } from "../storage/drivers.ts";
import { onPool } from "../storage/pool-health.ts";
import { resolveTemplate } from "../storage/templates.ts";
import { withVolumeLocks } from "../storage/volumes.ts";
import type { LockedContainer } from "./container.ts";
import { checkSoftLimits, checkUserQuota, diskLimits } from "./disk-limits.ts";
import { claimIds } from "./ids.ts";
import { clearIntent, declareIntent, hasIntent, readIntent } from "./intent.ts";
import { stateIfExists, withLayersLock } from "./layers.ts";
import { type ContainerLock, dropLockFile, withLock } from "./lock.ts";
import { checkMounts, volumesOf } from "./mounts.ts";
import { checkName, checkNumber, containerNames } from "./name.ts";
import { checkAddress } from "./network.ts";
import { discard, recover } from "./recover.ts";
import { leavePrepared } from "./start.ts";
import { type ContainerState, hostConfig, loadState, saveState } from "./store.ts";

export type CreateOptions = {
  readonly template: string;
  /** Settings as a person writes them, by dotted key. */
  readonly settings: ConfigChanges;
  readonly storage: DriverName | undefined;
};

/** Makes the container, whole or not at all. */
export async function createContainer(name: string, options: CreateOptions): Promise<ContainerState> {
  checkName(name);
  const text = newConfigText(name, options.template, options.settings);
  parseContainerConfig(text, `settings of ${name}`);
  const template = resolveTemplate(options.template);
  const storage = options.storage ?? hostConfig().storage ?? (await chooseDriver());
  await needDriver(storage);
  return await makeContainer(name, text, { template: template.digest, storage, layers: [] });
}

/** Fails with host.missing-feature, saying what the host lacks for it. */
export async function needDriver(storage: DriverName): Promise<void> {
  const missing = await storageDriver(storage).missing();
  if (missing !== undefined)
    throw onPool(
      storage,
      new BerthError(
        "host.missing-feature",
        `storage driver ${storage} does not work here: ${missing}`,
        "choose another with --storage",
      ),
    );
}

/** The name is another's. */
export const nameTaken = (name: string): BerthError =>
  new BerthError(
    "container.exists",
    `there is a container ${name} already`,
    "choose another name, or `berth rm` it first",
  );

/** What a new container lies on. */
export type Ground = Pick<ContainerState, "template" | "storage" | "layers">;

/** Who the new container is, where it is not a new one. An address that another one has is not taken over. */
export type Identity = Pick<ContainerState, "uuid" | "mac" | "address">;

/** Refuses, before anything is made or copied, what no new container could be beside those that there are. */
export async function checkNew(name: string, config: ContainerConfig, storage: DriverName): Promise<void> {
  checkName(name);
  checkNumber(name, config.ctid);
  checkSoftLimits(name, config);
  checkMounts({ config }, []);
  checkAddress(config, { uuid: crypto.randomUUID(), address: null });
  await checkUserQuota(config, storage);
}

/** Makes a container with these settings on that ground, whole or not at all; `finish` is a part of it. */
export async function makeContainer(
  name: string,
  text: string,
  ground: Ground,
  finish: (container: LockedContainer) => Promise<void> = async () => {},
  identity?: Identity,
): Promise<ContainerState> {
  const { storage, layers } = ground;
  const config = parseContainerConfig(text, `settings of ${name}`).value;
  await checkNew(name, config, storage);
  return await withLock(name, async (lock) => {
    if (await recover(lock)) throw nameTaken(name);
    const uuid = identity?.uuid ?? crypto.randomUUID();
    makeDirs(`${instance.lib}/containers`);
    const declare = async (): Promise<void> => {
      mkdirSync(containerPaths(name).dir, { mode: 0o700 });
      declareIntent(name, { operation: "create", uuid, storage, layers });
    };
    if (identity === undefined) await declare();
    else await withoutTwin(lock, uuid, declare);
    try {
      await withVolumeLocks(volumesOf(config), async () => {
        checkMounts({ config }, []);
        writeAtomic(containerPaths(name).config, text); // from here on it is a user of its volumes
      });
      const state = await fill(uuid, config, ground, identity);
      saveState(name, state);
      resolveTemplate(state.template); // it may have been removed in the meantime
      await finish({ name, lock, config, state });
      clearIntent(name);
      syncDir(`${instance.lib}/containers`);
      const made = loadState(name);
      await leavePrepared({ name, lock, config, state: made });
      return made;
    } catch (error) {
      if (!stands(name)) await discardNew(lock, uuid, storage);
      throw error;
    }
  });
}

/** Two containers of one UUID would have one volume: one that is being made, or was left half removed, counts too. */
async function withoutTwin(lock: ContainerLock, uuid: string, declare: () => Promise<void>): Promise<void> {
  try {
    await withLayersLock(async () => {
      refuseTwin(uuid);
      await declare();
    });
  } catch (error) {
    dropLockFile(lock);
    throw error;
  }
}

const twinOf = (uuid: string): string | undefined =>
  containerNames().find((name) => readIntent(name)?.uuid === uuid || stateIfExists(name)?.uuid === uuid);

/** Whether a container here has that identity. */
export const hasTwin = (uuid: string): boolean => twinOf(uuid) !== undefined;

function refuseTwin(uuid: string): void {
  const twin = twinOf(uuid);
  if (twin !== undefined)
    throw new BerthError(
      "container.exists",
      `container ${twin} has the identity ${uuid} already`,
      `leave out --same-identity, or \`berth rm ${twin}\` first`,
    );
}

/** Claims ids and address and makes the volume. */
async function fill(
  uuid: string,
  config: ContainerConfig,
  { template, storage, layers }: Ground,
  identity: Identity | undefined,
): Promise<ContainerState> {
  const baseUid = config.privileged ? 0 : claimIds(uuid);
  checkAddress(config, { uuid, address: null });
  const address =
    config.network.mode === "none"
      ? null
      : (claimFormer(config, uuid, identity?.address) ??
        claimAddress(config.network.address, uuid, subnetOf(hostConfig())));
  await storageDriver(storage).create(uuid, diskLimits(config));
  return {
    version: 1,
    uuid,
    template,
    storage,
    layers,
    baseUid,
    mac: identity?.mac ?? macOf(uuid),
    address,
    created: new Date().toISOString(),
    shouldRun: false,
    suspended: false,
    identity: "",
  };
}

/** The address that it had, if its settings ask for none, this host's bridge has it, and nobody else. */
function claimFormer(config: ContainerConfig, uuid: string, former?: string | null): string | undefined {
  const subnet = subnetOf(hostConfig());
  const [address = ""] = (former ?? "").split("/");
  if (address === "" || config.network.address !== "auto" || !contains(subnet, toNumber(address)))
    return undefined;
  try {
    return claimAddress(address, uuid, subnet);
  } catch (error) {
    if (error instanceof BerthError && error.code.startsWith("network.")) return undefined;
    throw error;
  }
}

/** What is whole is no longer ours to remove, and neither is what waits for a word of another host. */
const stands = (name: string): boolean => !hasIntent(name) || readIntent(name)?.operation === "arrive";

async function discardNew(lock: ContainerLock, uuid: string, storage: DriverName): Promise<void> {
  if (existsSync(containerPaths(lock.name).dir)) await discard(lock, { uuid, storage });
  dropLockFile(lock);
}
