/** From what the runs found to what the operator reads: pure functions. */
import type { Attempt, Outcome, Run } from "./attacker.ts";
import { type Layer, layers } from "./layers.ts";

/** absent: it works nowhere on this host. lost: the attacker did not say how it ended, which counts as bad. */
export type Verdict = "blocked" | "through" | "absent" | "lost";

export type Finding = {
  readonly id: string;
  readonly what: string;
  readonly cve: string;
  readonly control: string;
  /** guest: made in the container itself. sandbox: in a guest of the audit's own with the same layers. host: laid for the host. */
  readonly where: "guest" | "sandbox" | "host";
  readonly root: Verdict;
  /** undefined where it is no matter of users. */
  readonly user: Verdict | undefined;
  /** The error or the words it was answered with. */
  readonly answer: { readonly errno: number; readonly detail: string };
  /** Every layer that stops it alone, the outermost first; "together" where it takes several. */
  readonly layers: readonly (Layer | "together" | "path resolution")[];
};

/** The runs on which the findings rest. */
export type Evidence = {
  /** From a careless process of the host. */
  readonly host: Run;
  /** By an attach that has no layer but a clean start. */
  readonly none: Run;
  /** By each layer alone. */
  readonly alone: ReadonlyMap<Layer, Run>;
};

/** What an attempt of the control says: through where the attempt is real on this host. */
export const isReal = (id: string, { host, none }: Pick<Evidence, "host" | "none">): boolean =>
  host.get(id)?.outcome === "through" || none.get(id)?.outcome === "through";

export function verdictOf(outcome: Outcome | undefined, real: boolean): Verdict {
  if (outcome === undefined) return "lost";
  if (outcome.outcome === "through") return "through";
  return real ? "blocked" : "absent";
}

/** The layers that stop an attempt by themselves. */
export function stoppedBy(id: string, evidence: Evidence): readonly (Layer | "together")[] {
  if (evidence.none.get(id)?.outcome !== "through") return ["clean start"];
  const alone = layers.filter((layer) => evidence.alone.get(layer)?.get(id)?.outcome === "blocked");
  return alone.length > 0 ? alone : ["together"];
}

/** The finding about one attempt. */
export function findingOf(
  attempt: Attempt,
  evidence: Evidence,
  asRoot: Run,
  asUser: Run | undefined,
): Finding {
  const { id, what, cve, control, sandbox } = attempt;
  const real = isReal(id, evidence);
  const outcome = asRoot.get(id);
  const root = verdictOf(outcome, real);
  const answer = real ? outcome : (evidence.none.get(id) ?? evidence.host.get(id) ?? outcome);
  return {
    id,
    what,
    cve,
    control,
    where: sandbox ? "sandbox" : "guest",
    root,
    user: sandbox || asUser === undefined ? undefined : verdictOf(asUser.get(id), real),
    answer: { errno: answer?.errno ?? 0, detail: answer?.detail ?? "" },
    layers: root === "blocked" ? stoppedBy(id, evidence) : [],
  };
}

export type Summary = Readonly<Record<Verdict, number>>;

/** How many attempts ended how, counting the worse of root and user. */
export function summarise(findings: readonly Finding[]): Summary {
  const counts = { blocked: 0, through: 0, absent: 0, lost: 0 };
  for (const finding of findings) counts[worst(finding)] += 1;
  return counts;
}

const order: readonly Verdict[] = ["through", "lost", "blocked", "absent"];

/** The worse of what root and the user got. */
export const worst = ({ root, user }: Pick<Finding, "root" | "user">): Verdict =>
  order.find((verdict) => root === verdict || user === verdict) ?? root;

/** Nothing got through, and nothing is unknown. */
export const isContained = ({ through, lost }: Summary): boolean => through === 0 && lost === 0;
