/** Starting a container. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { sha256 } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths, eventsPath, instance } from "../base/paths.ts";
import { trace, tracing } from "../base/trace.ts";
import type { Mount } from "../config/mounts.ts";
import { selinuxEnforces } from "../kernel/apparmor.ts";
import { ownCommand } from "../kernel/binaries.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import { compiledFilter } from "../kernel/seccomp.ts";
import { attachPlan, launchPlan, mountPlan } from "../launch/plan.ts";
import { deviceRules } from "../launch/policy.ts";
import { seccompPolicies } from "../launch/seccomp.ts";
import { subnetOf } from "../network/bridge.ts";
import { gatewayOf, toText } from "../network/ipv4.ts";
import { networkRecords } from "../network/records.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Limits } from "../resources/limits.ts";
import { onPool } from "../storage/pool-health.ts";
import { apparmorFacts, confineByApparmor, releaseApparmor } from "./apparmor.ts";
import { type LockedContainer, refuseSuspended } from "./container.ts";
import { identityFiles } from "./identity.ts";
import { type LaunchFailure, launch } from "./launcher.ts";
import type { ContainerLock } from "./lock.ts";
import { refuseMounted } from "./mounted.ts";
import { noMounts, type ResolvedMounts, recordVolumes, resolveMounts } from "./mounts.ts";
import { checkAddress, reconcileNetwork } from "./network.ts";
import { rootRecordsOf } from "./root.ts";
import { statusOf } from "./status.ts";
import { hostConfig, saveState } from "./store.ts";

/** Console log kept before it is rotated, in bytes; one older file stays beside it. */
const CONSOLE_LOG_SIZE = 1 << 20;

/** Where berth-launch mounts what it builds a root from: in a mount namespace of its own, so all starts share the path. */
export const scratchDir = `${instance.run}/.mnt`;

export const limitsOf = (config: LockedContainer["config"]): Limits => ({
  memory: config.memory,
  swap: config.swap,
  cpus: config.cpus,
  cpuWeight: config["cpu-weight"],
  pids: config.pids,
});

/**
 * Starts it; returns init's pid on the host. `note` gets what the operator should know. Throws container.running, or
 * container.start-failed and then nothing is left of the try.
 */
export async function startContainer(
  container: LockedContainer,
  note: (text: string) => void = () => {},
): Promise<number> {
  const { name, config } = container;
  if (statusOf(name).state !== "stopped") {
    throw new BerthError(
      "container.running",
      `container ${name} is running already`,
      `berth restart ${name}`,
    );
  }
  refuseSuspended(name);
  trace("locked and read");
  const mounts = await resolveMounts(container);
  refuseMounted(container);
  releaseRuntime(name);
  trace("mounts and left-overs looked at");
  const state = await reconcileNetwork(container);
  trace("bridge and address looked at");
  const { attach, start, identity } = plans({ ...container, state }, mounts);
  const { run, attach: attachFile } = containerPaths(name);
  trace("planned");
  makeDirs(instance.log, scratchDir);
  mkdirSync(run, { recursive: true, mode: 0o700 });
  let pid: number;
  try {
    cgroups().prepare(name, limitsOf(config), deviceRules, state.baseUid);
    confineByApparmor(name, config, state.uuid);
    trace("cgroups made");
    writeFileSync(attachFile, encodePlan(attach), { mode: 0o600 });
    recordVolumes(container);
    [pid] = await Promise.all([
      launchKeeper(name, "start", start, container.lock),
      leavePrepared({ ...container, state }),
    ]);
    trace("init runs");
  } catch (error) {
    releaseRuntime(name);
    throw onPool(state.storage, error);
  }
  saveState(name, { ...state, shouldRun: true, identity }, false);
  mounts.notes.forEach(note);
  return pid;
}

/** Makes the next start ready, which the front then does. */
export async function leavePrepared(container: LockedContainer): Promise<void> {
  const { prepareStart } = await import("./prepared.ts");
  prepareStart(container);
}

/** Fails as a start would on bad settings, before a restart has stopped anything. */
export async function checkStart(container: LockedContainer): Promise<void> {
  checkAddress(container.config, container.state);
  plans(container, await resolveMounts(container));
}

/** What a start makes outside the guest and what a crash may have left of one: cgroups and records. The exit record stays. */
export function releaseRuntime(name: string): void {
  cgroups().remove(name);
  const { run, init, attach, keeperSocket, adopted, held, volumes, apparmor } = containerPaths(name);
  releaseApparmor(apparmor);
  for (const file of [init, attach, keeperSocket, adopted, volumes, apparmor]) rmSync(file, { force: true });
  rmSync(held, { recursive: true, force: true });
  rmSync(`${run}/reboot.log`, { force: true });
}

/** The plans of a start, and the digest of the files that tell the guest who it is. */
export type Plans = { readonly start: Plan; readonly attach: Plan; readonly identity: string };

/** What a start of it as it is now does. Throws what stands in the way of one. */
export function plans(
  { name, config, state }: LockedContainer,
  { mounts, volumeRecords }: ResolvedMounts,
): Plans {
  const subnet = config.network.mode === "none" ? undefined : subnetOf(hostConfig());
  const files = identityFiles(name, config, state, hostConfig());
  const identity = sha256(JSON.stringify(files)).slice(0, 16);
  const paths = containerPaths(name);
  const shared = {
    name,
    config,
    uuid: state.uuid,
    apparmor: apparmorFacts(config, state.uuid),
    selinux: selinuxEnforces(),
    seccomp: seccompPolicies({ ...config, arch: process.arch }).map(({ text, log }) => ({
      filter: compiledFilter(text),
      log,
    })),
  };
  const start = launchPlan({
    ...shared,
    baseUid: state.baseUid,
    runDir: paths.run,
    scratchDir,
    consoleLog: paths.consoleLog,
    consoleLogSize: CONSOLE_LOG_SIZE,
    eventsFile: eventsPath(),
    rebootCommand: [...ownCommand(), "start", "--by-keeper", name],
    cgroupRecords: cgroups().startRecords(name, deviceRules, config.privileged),
    rootRecords: rootRecordsOf({ config, state }),
    volumeRecords,
    mounts,
    networkRecords:
      subnet === undefined || state.address === null
        ? networkRecords({ ...config.network, mode: "none" }, noFacts)
        : networkRecords(config.network, {
            name,
            mac: state.mac,
            address: state.address,
            gateway: config.network.gateway ?? toText(gatewayOf(subnet)),
            bridge: instance.bridge,
            linkPrefix: instance.linkPrefix,
          }),
    files: files.map((file) =>
      identity === state.identity && file.when === "always" ? { ...file, when: "missing" as const } : file,
    ),
    trace: tracing,
  });
  const attach = attachPlan({ ...shared, cgroupRecords: cgroups().attachRecords(name, config.privileged) });
  return { start, attach, identity };
}

const noFacts = { name: "", mac: "", address: "", gateway: "", bridge: "", linkPrefix: "" };

type Verb = "start" | "adopt" | "restore" | "mount";

/** Words of a verb that makes a guest or something in it. */
export function launchWords(verb: Verb, plan: Plan): readonly string[] {
  // Without a user namespace the guest's root could write to our program by /proc/PID/exe: it runs from a sealed copy.
  const inUserNamespace = plan.some(([op, ...words]) => op === "namespaces" && words.includes("user"));
  return [verb, ...(inUserNamespace ? [] : ["--sealed"])];
}

const failures = {
  start: ["container.start-failed", "did not start"],
  adopt: ["container.start-failed", "has lost its keeper, and a new one could not take over"],
  restore: ["checkpoint.failed", "did not come back"],
  mount: ["container.mount-failed", "runs on as it was"],
} as const;

/** Runs a verb of berth-launch; where it stays as keeper, the lock stays with it until the start is decided. Gives init's pid. */
export async function launchKeeper(
  name: string,
  verb: Verb,
  plan: Plan,
  lock: ContainerLock,
): Promise<number> {
  const launched = launch(launchWords(verb, plan), plan, lock, {
    held: false,
    failed: startFailed(name, verb),
  });
  const [pid] = await launched.said;
  launched.unref();
  return Number(pid);
}

/** The error of a verb that failed; other words than its usual ones as `did`. */
export const startFailed =
  (name: string, verb: Verb, did: string = failures[verb][1]) =>
  ({ step, errno, why }: LaunchFailure): BerthError =>
    new BerthError(
      failures[verb][0],
      `container ${name} ${did}: ${step}: ${why}`,
      startHint(name, step, errno, why),
    );

/**
 * Gives a guest whose keeper died a new one, which sees its end and releases what it had. The console is lost until a
 * restart: it was the old keeper's.
 */
export async function adoptContainer(container: LockedContainer): Promise<void> {
  const { name, lock } = container;
  const plan = plans(container, noMounts).start.filter(([op]) => op !== "console" && op !== "bindConsole");
  await launchKeeper(name, "adopt", plan, lock);
  writeFileSync(containerPaths(name).adopted, "");
}

/** Mounts more in a container that runs: all of it or, on a failure, nothing. `note` as for a start. */
export async function mountLive(
  { name, config, lock }: LockedContainer,
  added: readonly Mount[],
  note: (text: string) => void,
): Promise<void> {
  const resolved = await resolveMounts({ name, config: { ...config, mounts: added } });
  const { run } = containerPaths(name);
  recordVolumes({ name, config: { ...config, mounts: added } });
  if (resolved.mounts.length > 0)
    await launchKeeper(
      name,
      "mount",
      mountPlan({ name, config, runDir: run, scratchDir, ...resolved }),
      lock,
    );
  resolved.notes.forEach(note);
}

const ENOENT = 2;
const EXFULL = 54;
const ENOSPC = 28;

function startHint(name: string, step: string, errno: number, detail: string): string {
  if (step === "bind-host") return mountHint(name, errno, detail);
  if (step === "exec-init") {
    return errno === ENOENT
      ? `look at init in \`berth config show ${name}\`: the program must exist in the template`
      : "the program must be one that this machine can run";
  }
  if (errno === EXFULL)
    return "a bridge of Linux takes 1023 links: stop a container, or give one that needs no network `--network none`";
  if (errno === ENOSPC)
    return "the disk limit or the host's disk is full: `berth set NAME --disk SIZE`, or free space";
  return `\`berth check\` looks at what this host lacks; \`berth log ${name}\` shows the console`;
}

const EINVAL = 22;
const ELOOP = 40;

function mountHint(name: string, errno: number, detail: string): string {
  if (errno === EINVAL && detail.includes("idmapped"))
    return "add noidmap to the mount's options: its files then belong to nobody in the guest";
  if (errno === ELOOP) return `write the path without symbolic links: \`berth config edit ${name}\``;
  return `look at mounts in \`berth config show ${name}\``;
}
