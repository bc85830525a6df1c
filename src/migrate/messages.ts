/** What two berths say to each other while a container moves. The source asks, the destination answers each once. */
import * as v from "valibot";
import { cgroupValues } from "../checkpoint/cgroup-tree.ts";
import { driverNames } from "../config/storage-drivers.ts";
import { manifestSchema } from "../storage/archive/backup-manifest.ts";
import { MOST_PASSES } from "./pass-rule.ts";

/** Changes when one side could misunderstand the other. */
export const PROTOCOL = 4;

const text = (most: number) => v.pipe(v.string(), v.maxLength(most));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const id = v.pipe(v.string(), v.uuid());
const passes = v.pipe(count, v.maxValue(MOST_PASSES));
/** Bytes of a path, in base64. */
const path = text(8192);

/** What a host has that a guest may depend on. */
export const hostSchema = v.object({
  berth: text(64),
  kernel: text(128),
  architecture: text(32),
  /** Flags of its processors, as /proc/cpuinfo has them. */
  cpuFlags: v.pipe(v.array(text(32)), v.maxLength(1024)),
  apparmor: v.picklist(["on", "off", "no-parser"]),
  /** Of the guests' bridge. */
  mtu: count,
  /** Milliseconds since 1970. */
  clock: v.number(),
});

export type HostFacts = v.InferOutput<typeof hostSchema>;

const templateSchema = v.object({
  name: text(64),
  distribution: text(64),
  release: text(64),
  arch: text(32),
  include: v.pipe(v.array(text(256)), v.maxLength(4096)),
  mirror: text(1024),
  /** Bytes of its files. */
  size: count,
});

/** Everything the destination must know to say whether it can have the container. */
export const offerSchema = v.object({
  type: v.literal("offer"),
  id,
  /** As a backup has it. */
  manifest: manifestSchema,
  /** config.yaml. */
  config: text(1 << 20),
  template: templateSchema,
  /** Its name there, where it is another. */
  name: v.nullable(text(255)),
  storage: v.nullable(v.picklist(driverNames)),
  /** Whether its processes and connections come along. */
  live: v.boolean(),
  /** The source's CRIU, when they do. */
  criu: v.nullable(text(64)),
  /** Bytes that its volume and layers hold, as far as that is known. */
  used: v.nullable(count),
  /** Whether it should run after a boot of the host. */
  shouldRun: v.boolean(),
  host: hostSchema,
});

export type Offer = v.InferOutput<typeof offerSchema>;

const quotaSchema = v.object({
  kind: v.picklist(["user", "group"]),
  /** In the guest. */
  id: count,
  bytes: v.nullable(count),
  inodes: v.nullable(count),
  softBytes: v.nullable(count),
  softInodes: v.nullable(count),
});

export type UserQuota = v.InferOutput<typeof quotaSchema>;

/** A cgroup's path below the guest's root, and the name of a file in one: nothing leads out of it. */
export const cgroupPath = v.pipe(text(4096), v.regex(/^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)*$/));
const cgroupFile = v.pipe(text(255), v.regex(/^(?!\.{1,2}$)[^/\0]+$/));

const cgroupSchema = v.object({
  path: cgroupPath,
  uid: count,
  gid: count,
  files: v.pipe(
    v.array(v.pipe(v.tuple([cgroupFile, count, count]), v.readonly())),
    v.maxLength(256),
    v.readonly(),
  ),
  values: v.record(v.picklist(cgroupValues), text(4096)),
  attributes: v.record(v.pipe(text(255), v.startsWith("user.")), text(65536)),
});

/** As CRIU calls the console's slave. */
const consoleSchema = v.pipe(text(64), v.regex(/^tty\[[0-9a-f]+:[0-9a-f]+\]$/));

/** What lies beside CRIU's images (checkpoint/record.ts); owners are the source's ids. */
export const recordSchema = v.object({
  version: v.literal(1),
  dumped: v.number(),
  kernel: text(128),
  criu: text(64),
  console: consoleSchema,
  processes: count,
  cgroups: v.pipe(v.array(cgroupSchema), v.maxLength(16384), v.readonly()),
  disconnected: v.optional(v.boolean()),
  passes: v.optional(passes),
});

const requestSchemas = [
  v.object({ type: v.literal("hello"), protocol: v.number() }),
  offerSchema,
  /** The template's tree follows. */
  v.object({ type: v.literal("template") }),
  /** The container is made; from here on a cut line removes it again. */
  v.object({ type: v.literal("begin") }),
  /** A frozen layer's tree follows; from top to bottom. */
  v.object({ type: v.literal("layer"), index: count }),
  /** Names that are gone from its upper directory, and directories whose attributes come anew. */
  v.object({
    type: v.literal("clear"),
    gone: v.pipe(v.array(path), v.maxLength(4096)),
    renewed: v.pipe(v.array(path), v.maxLength(4096)),
  }),
  /** What is new in its upper directory follows. */
  v.object({ type: v.literal("upper") }),
  v.object({ type: v.literal("quotas"), quotas: v.pipe(v.array(quotaSchema), v.maxLength(4096)) }),
  /** Its processes are about to stand still: have all ready to bring them back. */
  v.object({ type: v.literal("expect"), console: consoleSchema }),
  /** Large images of CRIU follow, as an archive: those that were not sent yet or are other ones now. `pass`: all of that one over the memory. */
  v.object({ type: v.literal("images"), pass: v.optional(v.pipe(passes, v.minValue(1))) }),
  /** The small images follow, as a bundle: then all are there. This is what lies beside them. */
  v.object({ type: v.literal("processes"), record: recordSchema, cgroup: cgroupPath }),
  /** All is there: make it last and wait for a word. */
  v.object({ type: v.literal("prepare") }),
  /** Bring its processes back; nobody is to hear them yet. */
  v.object({ type: v.literal("revive") }),
  /** It has ended here; what came for it while it stood still follows, as a bundle. */
  v.object({ type: v.literal("packets") }),
  /** It is yours. */
  v.object({ type: v.literal("commit") }),
  /** It stays with us. */
  v.object({ type: v.literal("abort") }),
  /** Start what is yours now. */
  v.object({ type: v.literal("start") }),
  /** What is there of that migration? */
  v.object({ type: v.literal("standing"), id }),
  /** The word that a migration which was cut waits for. */
  v.object({ type: v.literal("settle"), id, take: v.boolean() }),
  /** The source has removed what it had: no note of that migration is needed any more. */
  v.object({ type: v.literal("forget"), id }),
] as const;

export const requestSchema = v.variant("type", requestSchemas);

export type Request = v.InferOutput<typeof requestSchema>;

/** A reason against a migration, with what to do about it. */
export const faultSchema = v.object({ what: text(4096), cure: text(4096) });

export type Fault = v.InferOutput<typeof faultSchema>;

export const answerSchema = v.variant("type", [
  v.object({ type: v.literal("hello"), protocol: v.number(), host: hostSchema }),
  v.object({
    type: v.literal("terms"),
    faults: v.array(faultSchema),
    warnings: v.array(text(4096)),
    name: text(255),
    storage: v.nullable(v.picklist(driverNames)),
    /** The template is not there. */
    needsTemplate: v.boolean(),
  }),
  v.object({ type: v.literal("done") }),
  v.object({
    type: v.literal("standing"),
    mark: v.picklist(["none", "receiving", "ready", "arrived"]),
    name: v.nullable(text(255)),
  }),
  /** The destination gave up, and has removed what it got. */
  v.object({ type: v.literal("failed"), message: text(65536), hint: text(65536) }),
]);

export type Answer = v.InferOutput<typeof answerSchema>;
export type AnswerOf<T extends Answer["type"]> = Extract<Answer, { type: T }>;
