/** Undo is written next to do: an operation collects its undo steps and runs them backwards when it fails. */

export type Undo = {
  /** Registers how to take back what was just done. */
  readonly push: (step: () => void | Promise<void>) => void;
};

/**
 * Runs `work`; when it throws, runs the collected undo steps in reverse and throws the first error again.
 * A failing undo step does not stop the others; its error is attached to the message.
 */
export async function withUndo<T>(work: (undo: Undo) => Promise<T>): Promise<T> {
  const steps: (() => void | Promise<void>)[] = [];
  try {
    return await work({ push: (step) => steps.push(step) });
  } catch (error) {
    for (const step of steps.reverse()) {
      try {
        await step();
      } catch (undoError) {
        if (error instanceof Error)
          error.message += `; undoing it failed as well: ${undoError instanceof Error ? undoError.message : String(undoError)}`;
      }
    }
    throw error;
  }
}
