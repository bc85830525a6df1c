/** What the destination finds against taking a container, all of it at once, each with its cure. */
import { existsSync, statfsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import { instance, poolDir } from "../base/paths.ts";
import { formatSize } from "../base/units.ts";
import { findCriu } from "../checkpoint/program.ts";
import { renameHeading } from "../config/new.ts";
import { parseContainerConfig } from "../config/parse.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { nameTaken, needDriver } from "../container/create.ts";
import { checkSoftLimits, checkUserQuota } from "../container/disk-limits.ts";
import { readIntent } from "../container/intent.ts";
import { stateIfExists } from "../container/layers.ts";
import { checkName, checkNumber, containerNames } from "../container/name.ts";
import { checkAddress } from "../container/network.ts";
import { recoverIdle } from "../container/recover.ts";
import { formerOrBest } from "../container/restore.ts";
import { hostConfig } from "../container/store.ts";
import { claimAddress, releaseAddress } from "../network/addresses.ts";
import { subnetOf } from "../network/bridge.ts";
import { contains, formatSubnet, toNumber } from "../network/ipv4.ts";
import { checkArchitecture } from "../storage/archive/backup-manifest.ts";
import type { DriverName } from "../storage/driver.ts";
import { poolRoot } from "../storage/pool-record.ts";
import { readTemplate } from "../storage/templates.ts";
import { type Differences, differences } from "./compare.ts";
import { hostFacts } from "./host-facts.ts";
import type { AnswerOf, Fault, HostFacts, Offer } from "./messages.ts";

export type Terms = AnswerOf<"terms">;

/** Clocks that differ by more make logs and certificates of a guest go wrong. */
const SKEW_MS = 2000;

/** A disk is not filled to its last byte: file systems need some for themselves. */
const SPARE = 64 << 20;

/** config.yaml as the container shall have it here. */
export const configTextOf = ({ config, manifest, name }: Offer): string =>
  renameHeading(config, manifest.name, name ?? manifest.name);

/** What this host says to an offer. Changes nothing. */
export async function termsOf(offer: Offer): Promise<Terms> {
  const { manifest } = offer;
  const here = hostFacts(); // now: what follows may take seconds, and clocks are compared
  const name = offer.name ?? manifest.name;
  const faults: Fault[] = [];
  const warnings: string[] = [];
  const check = async <T>(work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      faults.push({ what: error.message, cure: error.hint });
      return undefined;
    }
  };
  await check(() => checkArchitecture(manifest, here.architecture));
  await check(async () => await mustBeFree(name));
  await check(() => refuseTwin(name, manifest.uuid));
  const storage = await check(async () => await storageFor(offer));
  const config = await check(
    () => parseContainerConfig(configTextOf(offer), `config.yaml of ${manifest.name}`).value,
  );
  if (config !== undefined) {
    await check(() => checkNumber(name, config.ctid));
    await check(() => checkSoftLimits(name, config));
    if (storage !== undefined) await check(async () => await checkUserQuota(config, storage));
    await check(() => checkNetwork(config, offer, warnings));
  }
  if (offer.live && config !== undefined) {
    const found = await compareLive(offer, here, config);
    faults.push(...found.faults);
    warnings.push(...found.warnings);
  }
  const needsTemplate = readTemplate(manifest.template.digest) === undefined;
  await check(() => mustHaveRoom(offer, needsTemplate, storage));
  warnings.push(...warningsOf(offer, here, storage));
  return { type: "terms", faults, warnings, name, storage: storage ?? null, needsTemplate };
}

/** What its processes would miss here. */
async function compareLive(
  { host, criu, manifest }: Offer,
  here: HostFacts,
  config: ContainerConfig,
): Promise<Differences> {
  const found = await findCriu();
  const destination = { ...here, criu: "fault" in found ? null : found.version };
  const { faults, warnings } = differences({ ...host, criu }, destination, manifest.name, config);
  if (!("fault" in found)) return { faults, warnings };
  const cure = "--offline stops it, moves it and starts it there";
  const unable = { what: `that host cannot restore processes: ${found.fault}`, cure };
  return { faults: [unable, ...faults], warnings };
}

/** What processes from another host would miss on this one: a CRIU that works, and abilities of its processors. */
export async function lackingFor(
  host: HostFacts,
): Promise<{ readonly criu: string | undefined; readonly missing: readonly string[] }> {
  const found = await findCriu();
  const here = hostFacts().cpuFlags;
  return {
    criu: "fault" in found ? found.fault : undefined,
    missing: host.cpuFlags.filter((flag) => !here.includes(flag)),
  };
}

/** A creation that was cut short is undone first. */
async function mustBeFree(name: string): Promise<void> {
  checkName(name);
  await recoverIdle(containerNames().filter((one) => one === name));
  if (!containerNames().includes(name)) return;
  if (readIntent(name)?.operation !== "arrive") throw nameTaken(name);
  throw new BerthError(
    "container.exists",
    `a migration of ${name} was cut before, and what came with it waits there`,
    `there: \`berth migrate --resolve ${name} --is there\` removes it`,
  );
}

function refuseTwin(name: string, uuid: string): void {
  const twin = containerNames().find((one) => one !== name && stateIfExists(one)?.uuid === uuid);
  if (twin !== undefined)
    throw new BerthError(
      "container.exists",
      `it is there already, as ${twin}`,
      `there: \`berth rm ${twin}\`, if that one is not needed`,
    );
}

async function storageFor({ storage, manifest }: Offer): Promise<DriverName> {
  const chosen = storage ?? hostConfig().storage ?? (await formerOrBest(manifest.storage));
  await needDriver(chosen);
  return chosen;
}

/** An address of its own choice must be free; one that was given to it changes where this host's network is another. */
function checkNetwork(config: ContainerConfig, { manifest, live }: Offer, warnings: string[]): void {
  const { uuid } = manifest;
  if (config.network.mode === "none") return;
  if (config.network.address !== "auto") {
    checkAddress(config, { uuid, address: null });
    return;
  }
  const subnet = subnetOf(hostConfig());
  const address = manifest.address?.split("/")[0] ?? "";
  if (contains(subnet, toNumber(address))) {
    releaseAddress(claimAddress(address, uuid, subnet), uuid);
    return;
  }
  const what = `its address ${address} is not in the network of that host's guests, ${formatSubnet(subnet)}`;
  if (live)
    throw new BerthError(
      "network.failed",
      what,
      "give both hosts the same network: {subnet: ...} in berth.yaml",
    );
  warnings.push(`${what}: it gets another one`);
}

function mustHaveRoom(
  { used, template }: Offer,
  needsTemplate: boolean,
  storage: DriverName | undefined,
): void {
  const pool = storage === undefined ? [] : [poolRoot(storage)];
  const place = [...pool, poolDir(), instance.lib].find((path) => existsSync(path)) ?? "/";
  const { bavail, bsize } = statfsSync(place);
  const needed = (used ?? 0) + (needsTemplate ? template.size : 0) + SPARE;
  if (needed <= bavail * bsize) return;
  throw new BerthError(
    "host.no-space",
    `it needs ${formatSize(needed)}, and ${place} has ${formatSize(bavail * bsize)} free`,
    "free some space there",
  );
}

function warningsOf(
  { host, manifest, live }: Offer,
  here: HostFacts,
  storage: DriverName | undefined,
): string[] {
  const skew = Math.round(Math.abs(here.clock - host.clock));
  return [
    ...(skew > SKEW_MS ? [`the clocks of the two hosts differ by ${(skew / 1000).toFixed(1)} s`] : []),
    ...(!live && host.apparmor === "on" && here.apparmor !== "on"
      ? ["that host does not confine guests by AppArmor, as this one does"]
      : []),
    ...(manifest.privileged ? ["it is privileged: root in it will be root on that host"] : []),
    ...(storage === "plain" && manifest.storage !== "plain"
      ? ["storage driver plain of that host keeps no disk limit"]
      : []),
  ];
}
