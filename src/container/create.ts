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
import { claimIds } from "./ids.ts";
import { clearIntent, declareIntent, discard, recover } from "./intent.ts";
import { type ContainerLock, dropLockFile, withLock } from "./lock.ts";
import { checkName, checkNumber } from "./name.ts";
import { checkAddress } from "./network.ts";
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
  const config = parseContainerConfig(text, `settings of ${name}`).value;
  const template = resolveTemplate(options.template);
  const storage = options.storage ?? hostConfig().storage ?? (await chooseDriver());
  const missing = await storageDriver(storage).missing();
  if (missing !== undefined)
    throw new BerthError(
      "host.missing-feature",
      `storage driver ${storage} does not work here: ${missing}`,
      "choose another with --storage",
    );

  checkNumber(name, config.ctid);

  return await withLock(name, async (lock) => {
    if (await recover(lock)) {
      throw new BerthError(
        "container.exists",
        `there is a container ${name} already`,
        "choose another name, or `berth rm` it first",
      );
    }
    const uuid = crypto.randomUUID();
    makeDirs(`${instance.lib}/containers`);
    mkdirSync(containerPaths(name).dir, { mode: 0o700 });
    declareIntent(name, { operation: "create", uuid, storage });
    try {
      const state = await fill(uuid, storage, config, template.digest);
      writeAtomic(containerPaths(name).config, text);
      saveState(name, state);
      resolveTemplate(state.template); // it may have been removed in the meantime
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
  storage: DriverName,
  config: ContainerConfig,
  template: string,
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
    layers: [],
    baseUid,
    mac: macOf(uuid),
    address,
    created: new Date().toISOString(),
    shouldRun: false,
    identity: "",
  };
}

async function discardNew(lock: ContainerLock, uuid: string, storage: DriverName): Promise<void> {
  if (existsSync(containerPaths(lock.name).dir)) await discard(lock, { uuid, storage });
  dropLockFile(lock);
}
