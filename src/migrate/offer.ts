/** What the source says of a container before it moves, and what it finds against moving it. */
import { readFileSync } from "node:fs";
import { containerPaths } from "../base/paths.ts";
import { version } from "../base/version.ts";
import { describe, obstaclesOf } from "../checkpoint/checkable.ts";
import { findCriu } from "../checkpoint/program.ts";
import { isVolume } from "../config/mounts.ts";
import type { Container, LockedContainer } from "../container/container.ts";
import { mountPoints } from "../container/mounted.ts";
import { listSnapshots } from "../container/snapshots.ts";
import { statusOf } from "../container/status.ts";
import { templateOf } from "../container/templates.ts";
import { newManifest } from "../storage/archive/backup-manifest.ts";
import { architecture } from "../storage/distributions.ts";
import { storageDriver } from "../storage/drivers.ts";
import { hostFacts } from "./host-facts.ts";
import type { Fault, Offer } from "./messages.ts";
import type { MigrateRequest } from "./source.ts";

/** The offer of a container as it is now. */
export async function makeOffer(container: Container, id: string, request: MigrateRequest): Promise<Offer> {
  const { name, config, state } = container;
  const live = isLive(name, request);
  const criu = live ? await findCriu() : undefined;
  const { metadata, digest } = templateOf(state);
  const { distribution, release, arch, include, mirror, size } = metadata;
  return {
    type: "offer",
    id,
    manifest: newManifest({
      ...{ kind: "upper", name, uuid: state.uuid, created: new Date().toISOString() },
      running: statusOf(name).state !== "stopped",
      ...{ privileged: config.privileged, architecture },
      template: {
        name: config.template,
        digest,
        distribution,
        release,
        haltSignal: config.stop.signal ?? metadata.haltSignal,
      },
      storage: state.storage,
      layers: state.layers.length,
      ...{ baseUid: state.baseUid, mac: state.mac, address: state.address },
      berth: version,
    }),
    config: readFileSync(containerPaths(name).config, "utf8"),
    template: {
      ...{ name: metadata.name, distribution, release, arch, include: [...include] },
      ...{ mirror, size },
    },
    name: request.name ?? null,
    storage: request.storage ?? null,
    live,
    criu: criu !== undefined && "version" in criu ? criu.version : null,
    used: usedBytes(container),
    shouldRun: state.shouldRun,
    host: hostFacts(),
  };
}

/** Whether its processes and connections come along. One that stays here too is stopped: both would have the same. */
export const isLive = (name: string, { offline, keep }: MigrateRequest): boolean =>
  !offline && !keep && statusOf(name).state === "running";

/** Bytes of its volume and layers; null where a driver does not count. */
function usedBytes({ state }: Container): number | null {
  const all = [{ id: state.uuid, storage: state.storage }, ...state.layers];
  const used = all.map(({ id, storage }) => storageDriver(storage).usage(id).usedBytes);
  return used.includes(undefined) ? null : used.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
}

/** What stands in the way of its processes. */
export async function liveFaults(
  container: LockedContainer,
  { endSessions }: MigrateRequest,
): Promise<Fault[]> {
  const cure = "--offline stops it, moves it and starts it there";
  const criu = await findCriu();
  if ("fault" in criu) return [{ what: `this host cannot checkpoint: ${criu.fault}`, cure }];
  const found = await obstaclesOf(container, { end: endSessions });
  return found.map((one) => ({ what: describe(one), cure: `${one.cure}; ${cure}` }));
}

/** What of the container itself stands in the way, all of it. */
export function sourceFaults(container: Container, { keep }: MigrateRequest): Fault[] {
  const { name, config, state } = container;
  const snapshots = listSnapshots(name).map((snapshot) => snapshot.name);
  return [
    ...(state.suspended
      ? [
          {
            what: `${name} is suspended: what it was doing would be lost`,
            cure: `berth resume ${name}; or \`berth start --fresh ${name}\` gives that up`,
          },
        ]
      : []),
    ...mountPoints(container).map((at) => ({
      what: `${name} is mounted at ${at}`,
      cure: `berth umount ${name}`,
    })),
    ...(statusOf(name).state === "frozen" ? [{ what: `${name} is frozen`, cure: `berth thaw ${name}` }] : []),
    ...config.mounts.map((mount) => ({
      what: `${name} mounts ${isVolume(mount) ? `volume ${mount.source}` : mount.source} of this host at ${mount.target}`,
      cure: `berth set ${name} --unmount ${mount.target}`,
    })),
    ...(snapshots.length > 0 && !keep
      ? [
          {
            what: `${name} has snapshots, which do not move: ${snapshots.join(", ")}`,
            cure: `\`berth snapshot rm\` them, or keep the container here too with --keep`,
          },
        ]
      : []),
  ];
}
