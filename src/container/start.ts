/** Starting a container. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { sha256 } from "../base/digest.ts";
import { BerthError, describeErrno } from "../base/errors.ts";
import { makeDirs } from "../base/files.ts";
import { containerPaths, eventsPath, instance } from "../base/paths.ts";
import { binaryPath, ownCommand } from "../kernel/binaries.ts";
import { encodePlan, type Plan } from "../kernel/plan.ts";
import { compiledFilter } from "../kernel/seccomp.ts";
import { attachPlan, launchPlan } from "../launch/plan.ts";
import { deviceRules } from "../launch/policy.ts";
import { seccompPolicy } from "../launch/seccomp.ts";
import { subnetOf } from "../network/bridge.ts";
import { gatewayOf, toText } from "../network/ipv4.ts";
import { networkRecords } from "../network/records.ts";
import { cgroups } from "../resources/cgroup.ts";
import type { Limits } from "../resources/limits.ts";
import { type LockedContainer, refuseSuspended } from "./container.ts";
import { identityFiles } from "./identity.ts";
import type { ContainerLock } from "./lock.ts";
import { refuseMounted } from "./mounted.ts";
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

/** Starts it; returns init's pid on the host. Throws container.running, or container.start-failed and then nothing is left of the try. */
export async function startContainer(container: LockedContainer): Promise<number> {
  const { name, config } = container;
  if (statusOf(name).state !== "stopped") {
    throw new BerthError(
      "container.running",
      `container ${name} is running already`,
      `berth restart ${name}`,
    );
  }
  refuseSuspended(name);
  refuseMounted(container);
  releaseRuntime(name);
  const state = await reconcileNetwork(container);
  const { attach, start, identity } = plans({ ...container, state });
  const { run, attach: attachFile } = containerPaths(name);
  makeDirs(instance.log, scratchDir);
  mkdirSync(run, { recursive: true, mode: 0o700 });
  let pid: number;
  try {
    cgroups().prepare(name, limitsOf(config), deviceRules, state.baseUid);
    writeFileSync(attachFile, encodePlan(attach), { mode: 0o600 });
    pid = await launch(name, "start", start, container.lock);
  } catch (error) {
    releaseRuntime(name);
    throw error;
  }
  saveState(name, { ...state, shouldRun: true, identity }, false);
  return pid;
}

/** Fails as a start would on bad settings, before a restart has stopped anything. */
export function checkStart(container: LockedContainer): void {
  checkAddress(container.config, container.state);
  plans(container);
}

/** What a start makes outside the guest and what a crash may have left of one: cgroups and records. The exit record stays. */
export function releaseRuntime(name: string): void {
  cgroups().remove(name);
  const { run, init, attach, keeperSocket, adopted } = containerPaths(name);
  for (const file of [init, attach, keeperSocket, adopted]) rmSync(file, { force: true });
  rmSync(`${run}/reboot.log`, { force: true });
}

/** The plan of a start, what `exec` reads while it runs, and the digest of the files that tell the guest who it is. */
export function plans({ name, config, state }: LockedContainer): {
  start: Plan;
  attach: Plan;
  identity: string;
} {
  const subnet = config.network.mode === "none" ? undefined : subnetOf(hostConfig());
  const files = identityFiles(name, config, state, hostConfig());
  const identity = sha256(JSON.stringify(files)).slice(0, 16);
  const paths = containerPaths(name);
  const shared = {
    name,
    config,
    uuid: state.uuid,
    seccomp: compiledFilter(seccompPolicy({ privileged: config.privileged, arch: process.arch })),
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
    cgroupRecords: cgroups().startRecords(name, deviceRules),
    rootRecords: rootRecordsOf({ config, state }),
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
    trace: process.env.BERTH_TRACE === "1",
  });
  const attach = attachPlan({ ...shared, cgroupRecords: cgroups().attachRecords(name) });
  return { start, attach, identity };
}

const noFacts = { name: "", mac: "", address: "", gateway: "", bridge: "", linkPrefix: "" };

/** Runs a verb of berth-launch that stays as keeper; the lock stays with it until the start is decided. */
export async function launch(
  name: string,
  verb: "start" | "adopt" | "restore",
  plan: Plan,
  lock: ContainerLock,
): Promise<number> {
  // Without a user namespace the guest's root could write to our program by /proc/PID/exe: it runs from a sealed copy.
  const inUserNamespace = plan.some(([op, ...words]) => op === "namespaces" && words.includes("user"));
  const argv = [binaryPath("berth-launch"), verb, ...(inUserNamespace ? [] : ["--sealed"])];
  const child = Bun.spawn(argv, {
    stdio: [encodePlan(plan), "pipe", "inherit", lock.fd],
    env: {
      PATH: process.env.PATH ?? "",
      ...(process.env.BERTH_ROOT === undefined ? {} : { BERTH_ROOT: process.env.BERTH_ROOT }),
    },
  });
  const [word, ...rest] = (await readVerdict(child.stdout)).split(" ");
  if (word === "ok") {
    child.unref();
    return Number(rest[0]);
  }
  const [step = "berth-launch", errno = "0", ...text] = rest;
  const detail = text.join(" ") || "it ended without a word";
  const why = errno === "0" ? detail : `${detail}: ${describeErrno(Number(errno))}`;
  const failed =
    verb === "adopt"
      ? "has lost its keeper, and a new one could not take over"
      : `did not ${verb === "start" ? "start" : "come back"}`;
  throw new BerthError(
    "container.start-failed",
    `container ${name} ${failed}: ${step}: ${why}`,
    startHint(name, step, Number(errno)),
  );
}

/**
 * Gives a guest whose keeper died a new one, which sees its end and releases what it had. The console is lost until a
 * restart: it was the old keeper's.
 */
export async function adoptContainer(container: LockedContainer): Promise<void> {
  const { name, lock } = container;
  const plan = plans(container).start.filter(([op]) => op !== "console" && op !== "bindConsole");
  await launch(name, "adopt", plan, lock);
  writeFileSync(containerPaths(name).adopted, "");
}

/** The last status line; trace lines are passed on to stderr. */
async function readVerdict(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      if (!line.startsWith("trace ")) return line;
      process.stderr.write(`${line}\n`);
    }
  }
  return "error";
}

const ENOENT = 2;
const ENOSPC = 28;

function startHint(name: string, step: string, errno: number): string {
  if (step === "exec-init") {
    return errno === ENOENT
      ? `look at init in \`berth config show ${name}\`: the program must exist in the template`
      : "the program must be one that this machine can run";
  }
  if (errno === ENOSPC)
    return "the disk limit or the host's disk is full: `berth set NAME --disk SIZE`, or free space";
  return `\`berth check\` looks at what this host lacks; \`berth log ${name}\` shows the console`;
}
