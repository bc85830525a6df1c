/** The stages of a migration as they are shown: what is being done, and how long each took. */
import type { Progress } from "../base/progress.ts";
import { trace } from "../base/trace.ts";

export type Stage = { readonly stage: string; readonly milliseconds: number };

export type Stages = {
  /** Runs one stage; shows when it begins and how long it took. `since`: it has begun already. `more`: what is known of it in the end. */
  readonly run: <T>(
    stage: string,
    work: () => Promise<T>,
    since?: number,
    more?: (result: T) => string,
  ) => Promise<T>;
  /** Those that are over, in order. */
  readonly done: readonly Stage[];
};

export function watchStages({ emit }: Progress): Stages {
  const done: Stage[] = [];
  return {
    done,
    run: async (stage, work, since = performance.now(), more = () => "") => {
      emit({ type: "step", label: stage });
      const result = await work();
      const milliseconds = Math.round((performance.now() - since) * 10) / 10;
      trace(stage);
      done.push({ stage: `${stage}${more(result)}`, milliseconds });
      return result;
    },
  };
}
