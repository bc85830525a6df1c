/**
 * Guests of the audit's own: berth's layers around one small program, started by the same plan as every guest. The operator's
 * guest is never weakened to see what a layer is good for; these are.
 */
import { chmodSync, copyFileSync, lchownSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { claimant, listIfExists, makeDirs } from "../base/files.ts";
import { containerPaths, instance, leasesDir } from "../base/paths.ts";
import type { ContainerConfig } from "../config/schema.ts";
import { apparmorFacts, confineByApparmor } from "../container/apparmor.ts";
import { identityFiles } from "../container/identity.ts";
import { claimIds, releaseIds } from "../container/ids.ts";
import { type ContainerLock, dropLockFile, withLock } from "../container/lock.ts";
import { noMounts } from "../container/mounts.ts";
import { launchKeeper, releaseRuntime, scratchDir } from "../container/start.ts";
import { statusOf } from "../container/status.ts";
import { stopContainer } from "../container/stop.ts";
import { type ContainerState, hostConfig } from "../container/store.ts";
import { binaryPath } from "../kernel/binaries.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import { compiledFilter } from "../kernel/seccomp.ts";
import { attachPlan, launchPlan } from "../launch/plan.ts";
import { deviceRules } from "../launch/policy.ts";
import { seccompPolicies } from "../launch/seccomp.ts";
import { networkRecords } from "../network/records.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Limits } from "../resources/limits.ts";
import { rootRecords } from "../storage/overlay.ts";
import type { Facts } from "./attacker.ts";

/** No container can have such a name. The id range is claimed by it too. */
const OWN = "_audit";

/** An audit that is killed leaves a guest that ends by itself after so many seconds; its keeper then releases what it had. */
const LIFE_SECONDS = 300;

/** Where the audit keeps what it makes. */
export const auditDir = (): string => `${instance.lib}/audit`;

/** Where the canary's file and the traps' targets lie: everybody may search it, as far as the host is concerned. */
export const canaryDir = (): string => `${auditDir()}/canary`;

/** What attempts need to know of the audit's own guest: where its limits are. */
export const ownFacts = (): Facts => [`cgroup=${cgroups().path(OWN)}`];

export type Laboratory = {
  readonly config: ContainerConfig;
  readonly baseUid: number;
  /** Names its AppArmor profile: no container's. */
  readonly uuid: string;
  readonly lock: ContainerLock;
};

/** Runs `work` with the audit's directory, id range and lock; all of it is gone afterwards. One audit at a time. */
export async function withLaboratory<T>(
  config: ContainerConfig,
  work: (laboratory: Laboratory) => Promise<T>,
): Promise<T> {
  return await withLock(OWN, async (lock) => {
    const uuid = crypto.randomUUID();
    await clean({ config, baseUid: 0, uuid, lock });
    makeRoot();
    const baseUid = config.privileged ? 0 : claimIds(OWN);
    try {
      return await work({ config, baseUid, uuid, lock });
    } finally {
      await clean({ config, baseUid, uuid, lock });
      dropLockFile(lock);
    }
  });
}

/** Takes away what this audit, or one that was killed, has made. */
async function clean(laboratory: Laboratory): Promise<void> {
  await stopGuest(laboratory);
  for (const file of listIfExists(`${leasesDir()}/uid`))
    if (claimant(`${leasesDir()}/uid/${file}`) === OWN) releaseIds(Number(file), OWN);
  rmSync(containerPaths(OWN).run, { recursive: true, force: true });
  rmSync(auditDir(), { recursive: true, force: true });
}

/** The template: directories, and the attacker as init. */
function makeRoot(): void {
  makeDirs(auditDir(), canaryDir(), `${auditDir()}/variants`);
  const root = `${auditDir()}/root`;
  makeDirs(
    ...["sbin", "etc", "usr", "dev", "proc", "sys", "run", "mnt", "root"].map((dir) => `${root}/${dir}`),
  );
  copyFileSync(binaryPath("berth-audit"), `${root}/sbin/init`);
  chmodSync(`${root}/sbin/init`, 0o755);
}

export type GuestOptions = {
  readonly limits: Limits;
  /** Changes the plan of the start. */
  readonly change?: (plan: Plan) => Plan;
  /** Puts hostile things into its volume first. `own` gives a path to the guest's root. */
  readonly lay?: (upper: string, own: (path: string) => void) => void;
};

export type OwnGuest = {
  /** Records of an attach with another plan than the guest's own: the directory to give to the attacker. */
  readonly variant: (name: string, change: (plan: Plan) => Plan) => string;
  readonly init: number;
};

/** Starts the guest; one at a time. Fails as any start does. */
export async function startGuest(laboratory: Laboratory, options: GuestOptions): Promise<OwnGuest> {
  const { config, baseUid, uuid, lock } = laboratory;
  await stopGuest(laboratory);
  const volume = freshVolume(baseUid, options);
  const paths = containerPaths(OWN);
  const own = ownConfig(config);
  const seccomp = seccompPolicies({ ...own, arch: process.arch }).map(({ text, log }) => ({
    filter: compiledFilter(text),
    log,
  }));
  const apparmor = apparmorFacts(own, uuid);
  const shared = { name: OWN, config: own, uuid, seccomp, apparmor, selinux: false };
  const start = launchPlan({
    ...shared,
    baseUid,
    runDir: paths.run,
    scratchDir,
    consoleLog: "",
    consoleLogSize: 0,
    eventsFile: `${auditDir()}/events.jsonl`,
    rebootCommand: ["/bin/false"],
    cgroupRecords: cgroups().startRecords(OWN, deviceRules, config.privileged),
    rootRecords: rootRecords({
      volume: { id: OWN, storage: "plain" },
      layers: [],
      rootfs: `${auditDir()}/root`,
      baseUid,
      shifted: !config.privileged,
    }).map((record) => (record[0] === "bind" && record[1] === "pool" ? ["bind", "pool", volume] : record)),
    ...noMounts,
    networkRecords: networkRecords({ ...config.network, mode: "none" }, noAddress),
    files: identityFiles(OWN, ownConfig(config), ownState(laboratory), hostConfig()),
    trace: false,
  });
  const attach = attachPlan({ ...shared, cgroupRecords: cgroups().attachRecords(OWN, config.privileged) });
  makeDirs(scratchDir);
  mkdirSync(paths.run, { recursive: true, mode: 0o700 });
  cgroups().prepare(OWN, options.limits, deviceRules, baseUid);
  confineByApparmor(OWN, own, uuid);
  const init = await launchKeeper(OWN, "start", options.change?.(start) ?? start, lock);
  return {
    init,
    variant: (name, change) => {
      const dir = `${auditDir()}/variants/${name}`;
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      copyFileSync(paths.init, `${dir}/init`);
      writeFileSync(`${dir}/attach`, encodePlan(change(attach)), { mode: 0o600 });
      return dir;
    },
  };
}

/** Ends the guest, if one runs, and releases what it had. */
export async function stopGuest(laboratory: Laboratory): Promise<void> {
  const { config, lock } = laboratory;
  if (statusOf(OWN).state !== "stopped")
    await stopContainer(
      { name: OWN, lock, config, state: ownState(laboratory) },
      { kill: true, timeout: undefined, stayDown: false },
    );
  releaseRuntime(OWN);
}

function freshVolume(baseUid: number, { lay }: GuestOptions): string {
  const volume = `${auditDir()}/volume`;
  rmSync(volume, { recursive: true, force: true });
  makeDirs(volume, `${volume}/upper`, `${volume}/work`);
  lay?.(`${volume}/upper`, (path) => lchownSync(path, baseUid, baseUid));
  return volume;
}

const noAddress = { name: "", mac: "", address: "", gateway: "", bridge: "", linkPrefix: "" };

/** The audited container's settings, as far as they are layers: not its program, network, limits and kernel settings. */
const ownConfig = (config: ContainerConfig): ContainerConfig => ({
  ...config,
  init: ["/sbin/init", "pause", String(LIFE_SECONDS)],
  hostname: "audit",
  sysctl: {},
  environment: {},
});

const ownState = ({ uuid, baseUid }: Laboratory): ContainerState => ({
  version: 1,
  uuid,
  template: "",
  storage: "plain",
  layers: [],
  baseUid,
  mac: "",
  address: null,
  created: "",
  shouldRun: false,
  suspended: false,
  identity: "",
});
