/** A migration whose line was cut: what each side holds, and what follows. */
import { BerthError } from "../base/errors.ts";
import { hasArrived } from "../container/arrivals.ts";
import { declareIntent, type IntentOf, readIntent } from "../container/intent.ts";
import { type ContainerLock, dropLockFile, withLock } from "../container/lock.ts";
import { resolveName } from "../container/name.ts";
import { leave, stay } from "../container/recover.ts";
import { type Decision, type DestinationMark, decide } from "./phases.ts";
import { openLine, type SourceLine } from "./source-line.ts";
import { settleWaiting } from "./standing.ts";

export type Resolution = {
  readonly name: string;
  /** Which side this host was. */
  readonly side: "source" | "destination";
  readonly other: DestinationMark | "unknown";
  /** Where the container is now; undefined: nobody knows yet. */
  readonly has: "here" | "there" | undefined;
};

/** How often the other side is asked again by itself, and how long between, in milliseconds. */
const TRIES = 3;
const PAUSE_MS = 1000;

/**
 * Asks the destination of a switch what became of it, on a line of its own, and asks again for the switch if that was
 * not heard. Gives whose the container is. Throws migrate.undecided when it cannot be reached: then it stands still here.
 */
export async function askAgain(name: string, intent: IntentOf<"depart">, cause: unknown): Promise<Decision> {
  let last = cause;
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (tries > 0) await Bun.sleep(PAUSE_MS);
    try {
      await using line = await openLine(intent.to);
      return await askOn(line, intent);
    } catch (error) {
      last = error;
    }
  }
  throw new BerthError(
    "migrate.undecided",
    `${name} was ready on ${intent.to.host} when the line was cut: whether it is there or here is not known, so it stands still here`,
    `once ${intent.to.host} answers: \`berth migrate --resolve ${name}\``,
    last,
  );
}

/** Tells the destination, on a line of its own, that the container has stayed here. */
export async function tellThat({ to, id }: IntentOf<"depart">): Promise<void> {
  await using line = await openLine(to);
  await line.ask({ type: "settle", id, take: false });
}

async function askOn(line: SourceLine, intent: IntentOf<"depart">): Promise<Decision> {
  const { id } = intent;
  const { mark } = await line.askFor({ type: "standing", id }, "standing");
  const decision = decide(intent.mark, mark);
  if (decision === "ask") {
    await line.ask({ type: "settle", id, take: true });
    return "leave";
  }
  if (decision === "stay" && mark === "ready") await line.ask({ type: "settle", id, take: false });
  return decision;
}

/**
 * Settles a container whose migration was cut. `verdict` is a person's word for where it is, when the other side cannot
 * be asked. Throws migrate.refused when nothing was cut, migrate.undecided when nobody knows.
 */
export async function resolveMigration(
  word: string,
  verdict: "here" | "there" | undefined,
): Promise<Resolution> {
  const name = resolveName(word);
  return await withLock(name, async (lock) => {
    const intent = readIntent(name);
    if (intent?.operation === "arrive") return await resolveArrival(lock, intent, verdict);
    if (intent?.operation !== "depart")
      throw new BerthError(
        "migrate.refused",
        `no migration of ${name} was cut`,
        `\`berth info ${name}\` shows it`,
      );
    const decision = verdict === undefined ? await askAgain(name, intent, undefined) : decisionOf(verdict);
    const other = verdict === undefined ? (decision === "leave" ? "arrived" : "none") : "unknown";
    if (decision === "stay") {
      await stay(name, intent);
      return { name, side: "source", other, has: "here" };
    }
    declareIntent(name, { ...intent, mark: "gone" });
    if (!(await leave(lock, intent))) dropLockFile(lock);
    return { name, side: "source", other, has: "there" };
  });
}

const decisionOf = (verdict: "here" | "there"): Decision => (verdict === "here" ? "stay" : "leave");

/** The destination does not know the way to the source, and may not decide: a person may. */
async function resolveArrival(
  lock: ContainerLock,
  intent: IntentOf<"arrive">,
  verdict: "here" | "there" | undefined,
): Promise<Resolution> {
  const { name } = lock;
  if (hasArrived(intent.id) || verdict === "here") {
    await settleWaiting(lock, intent, true);
    return { name, side: "destination", other: "unknown", has: "here" };
  }
  if (verdict === "there") {
    await settleWaiting(lock, intent, false);
    return { name, side: "destination", other: "unknown", has: "there" };
  }
  throw new BerthError(
    "migrate.undecided",
    `${name} came whole from another host, which has not said whose it is now; it stands still here`,
    `there: \`berth migrate --resolve ${name}\`. If that host is gone for good: \`berth migrate --resolve ${name} --is here\``,
  );
}
