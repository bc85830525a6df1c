/**
 * Who has the container at each step of a migration, as data: what the records on both sides say, and what follows when
 * a side dies or the line is cut there. docs/migration.md shows this table; its test compares the two.
 *
 * The switch is one act on one side: the destination notes that it has the container. The source asks for it once, and
 * from then on it cannot know without an answer.
 */

/** What the source has noted: nothing yet; it copies; it has asked for the switch; it has been told that it happened. */
export type SourceMark = "none" | "moving" | "committing" | "gone";

/** What the destination has: nothing; a part that it removes by itself; all of it, waiting for a word; the container. */
export type DestinationMark = "none" | "receiving" | "ready" | "arrived";

/** Who may let it run. "nobody" stands still until one of the two is known. */
export type Keeper = "source" | "destination" | "nobody";

export type Step = {
  readonly step: string;
  readonly source: SourceMark;
  readonly destination: DestinationMark;
  readonly has: Keeper;
  /** What becomes of it when a side dies, or the line is cut, right there. */
  readonly onFailure: string;
};

export const steps: readonly Step[] = [
  {
    step: "looking",
    source: "none",
    destination: "none",
    has: "source",
    onFailure: "nothing has changed",
  },
  {
    step: "copying",
    source: "moving",
    destination: "receiving",
    has: "source",
    onFailure: "the source goes on, the destination removes what it got",
  },
  {
    step: "ready",
    source: "moving",
    destination: "ready",
    has: "source",
    onFailure: "the source goes on; the destination keeps what it got until it hears so",
  },
  {
    step: "asking",
    source: "committing",
    destination: "ready",
    has: "nobody",
    onFailure: "both stand still; the source asks again, by itself or by `berth migrate --resolve`",
  },
  {
    step: "switched",
    source: "committing",
    destination: "arrived",
    has: "destination",
    onFailure: "the destination goes on; the source stands still until it hears so",
  },
  {
    step: "leaving",
    source: "gone",
    destination: "arrived",
    has: "destination",
    onFailure: "the next command at the source removes what is left there",
  },
];

/** What the source has to do once it knows what the destination has. */
export type Decision =
  /** The container stays; the destination removes what it has. */
  | "stay"
  /** It asks for the switch again. */
  | "ask"
  /** The container has left. */
  | "leave";

/**
 * The source's next move. A destination that was asked to switch and has nothing any more was told by a person to remove
 * it, has lost the processes with its power, or lost its disk: it cannot have the container, since it keeps a note of each that arrived.
 */
export function decide(source: Exclude<SourceMark, "none">, destination: DestinationMark): Decision {
  if (source === "gone" || destination === "arrived") return "leave";
  return source === "committing" && destination === "ready" ? "ask" : "stay";
}
