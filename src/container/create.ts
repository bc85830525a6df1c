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
import type { DriverName } from "../storage/driver.ts";
import { chooseDriver, storageDriver } from "../storage/drivers.ts";
import { resolveTemplate } from "../storage/templates.ts";
import type { LockedContainer } from "./container.ts";
import { claimIds } from "./ids.ts";
import { clearIntent, declareIntent } from "./intent.ts";
import { type ContainerLock, dropLockFile, withLock } from "./lock.ts";
import { checkName, checkNumber } from "./name.ts";
import { checkAddress } from "./network.ts";
import { discard, recover } from "./recover.ts";
import { type ContainerState, hostConfig, saveState } from "./store.ts";

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
  const missing = await storageDriver(storage).missing();
  if (missing !== undefined)
    throw new BerthError(
      "host.missing-feature",
      `storage driver ${storage} does not work here: ${missing}`,
      "choose another with --storage",
    );

  return await makeContainer(name, text, { template: template.digest, storage, layers: [] });
}

export const nameTaken = (name: string): BerthError =>
  new BerthError(
    "container.exists",
    `there is a container ${name} already`,
    "choose another name, or `berth rm` it first",
  );

/** What a new container lies on. */
export type Ground = Pick<ContainerState, "template" | "storage" | "layers">;

/** Makes a container with these settings on that ground, whole or not at all; `finish` is a part of it. */
export async function makeContainer(
  name: string,
  text: string,
  ground: Ground,
  finish: (container: LockedContainer) => Promise<void> = async () => {},
): Promise<ContainerState> {
  const { storage, layers } = ground;
  checkName(name);
  const config = parseContainerConfig(text, `settings of ${name}`).value;
  checkNumber(name, config.ctid);
  return await withLock(name, async (lock) => {
    if (await recover(lock)) throw nameTaken(name);
    const uuid = crypto.randomUUID();
    makeDirs(`${instance.lib}/containers`);
    mkdirSync(containerPaths(name).dir, { mode: 0o700 });
    declareIntent(name, { operation: "create", uuid, storage, layers });
    try {
      const state = await fill(uuid, config, ground);
      writeAtomic(containerPaths(name).config, text);
      saveState(name, state);
      resolveTemplate(state.template); // it may have been removed in the meantime
      await finish({ name, lock, config, state });
      clearIntent(name);
      syncDir(`${instance.lib}/containers`);
      return state;
    } catch (error) {
      await discardNew(lock, uuid, storage);
      throw error;
    }
  });
}

/** Claims ids and address and makes the volume. */
async function fill(
  uuid: string,
  config: ContainerConfig,
  { template, storage, layers }: Ground,
): Promise<ContainerState> {
  const baseUid = config.privileged ? 0 : claimIds(uuid);
  checkAddress(config, { uuid, address: null });
  const address =
    config.network.mode === "none"
      ? null
      : claimAddress(config.network.address, uuid, subnetOf(hostConfig()));
  await storageDriver(storage).create(uuid, { bytes: config.disk, inodes: config.inodes });
  return {
    version: 1,
    uuid,
    template,
    storage,
    layers,
    baseUid,
    mac: macOf(uuid),
    address,
    created: new Date().toISOString(),
    shouldRun: false,
    suspended: false,
    identity: "",
  };
}

async function discardNew(lock: ContainerLock, uuid: string, storage: DriverName): Promise<void> {
  if (existsSync(containerPaths(lock.name).dir)) await discard(lock, { uuid, storage });
  dropLockFile(lock);
}
