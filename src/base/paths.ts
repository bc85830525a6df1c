/**
 * Where everything of one instance of berth lies. `BERTH_ROOT=DIR` sets a whole instance apart: its files below
 * DIR, its cgroups, bridge and nft table under names derived from DIR, so that two instances never meet.
 */
import { resolve } from "node:path";
import { sha256 } from "./digest.ts";

export type Instance = {
  /** Eight hex digits derived from BERTH_ROOT, or "" for the host's own instance. */
  readonly tag: string;
  readonly etc: string;
  readonly lib: string;
  readonly run: string;
  readonly log: string;
  /** Name of the cgroup below each hierarchy's mount point. */
  readonly cgroup: string;
  readonly bridge: string;
  readonly nftTable: string;
  /** Prefix of host side link names; at most 15 bytes with what follows. */
  readonly linkPrefix: string;
};

/** The instance that an environment names. Throws nothing; DIR is made absolute. */
export function instanceOf(root: string | undefined): Instance {
  if (root === undefined || root === "") {
    return {
      tag: "",
      etc: "/etc/berth",
      lib: "/var/lib/berth",
      run: "/run/berth",
      log: "/var/log/berth",
      cgroup: "berth",
      bridge: "berth0",
      nftTable: "berth",
      linkPrefix: "bv",
    };
  }
  const dir = resolve(root);
  const tag = sha256(dir).slice(0, 8);
  return {
    tag,
    etc: `${dir}/etc`,
    lib: `${dir}/var/lib`,
    run: `${dir}/run`,
    log: `${dir}/var/log`,
    cgroup: `berth-${tag}`,
    bridge: `br-${tag}`,
    nftTable: `berth_${tag}`,
    linkPrefix: `b${tag.slice(0, 4)}`,
  };
}

/** The instance of this process. */
export const instance: Instance = instanceOf(process.env.BERTH_ROOT);

/** Paths of one container. */
export function containerPaths(name: string, at: Instance = instance) {
  const dir = `${at.lib}/containers/${name}`;
  const run = `${at.run}/${name}`;
  return {
    dir,
    config: `${dir}/config.yaml`,
    compiled: `${dir}/config.compiled`,
    state: `${dir}/state.json`,
    /** A start as the front can carry it out (native/front_start.c), good while nothing has changed. */
    prepared: `${dir}/start.prepared`,
    /** What `ls` and `info` show of it beside the kernel's figures, for the front (native/front_card.c). */
    card: `${dir}/card`,
    intent: `${dir}/intent.json`,
    snapshots: `${dir}/snapshots`,
    /** A suspended guest: CRIU's images and what berth adds to them. */
    checkpoint: `${dir}/checkpoint`,
    lock: `${at.run}/.lock/${name}`,
    run,
    init: `${run}/init`,
    exit: `${run}/exit`,
    attach: `${run}/attach`,
    /** Name of the AppArmor profile that was loaded for it. */
    apparmor: `${run}/apparmor`,
    /** There when the guest lives on with a second keeper, without a console. */
    adopted: `${run}/adopted`,
    /** Names of the volumes that the guest started with. */
    volumes: `${run}/volumes`,
    /** Written when commands of `berth exec` were ended for a checkpoint (native/attach.c). */
    sessionsEnded: `${run}/sessions-ended`,
    /** When the guest rebooted itself lately, a line each in milliseconds since 1970. */
    reboots: `${run}/reboots`,
    /** Records of a guest that was held for one script, as `run` has them of one that started. */
    held: `${run}/held`,
    keeperSocket: `${run}/keeper.sock`,
    consoleLog: `${at.log}/${name}.console.log`,
    /** What CRIU said at the last suspend and the last resume. */
    dumpLog: `${at.log}/${name}.dump.log`,
    restoreLog: `${at.log}/${name}.restore.log`,
  } as const;
}

/** What CRIU said at the last resume that failed; kept when the container is gone, as after a migration to this host. */
export const failedRestoreLog = (name: string, at: Instance = instance): string =>
  `${at.log}/${name}.failed-restore.log`;
export const eventsPath = (at: Instance = instance): string => `${at.log}/events.jsonl`;
export const templatesDir = (at: Instance = instance): string => `${at.lib}/templates`;
export const poolDir = (at: Instance = instance): string => `${at.lib}/pool`;
export const cacheDir = (at: Instance = instance): string => `${at.lib}/cache`;
export const leasesDir = (at: Instance = instance): string => `${at.lib}/leases`;
