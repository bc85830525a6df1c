/** Starts from a process that runs already, as a daemon's would be, against the floor. */
import { type Bench, compiled } from "../bench.ts";
import { stepper } from "../samples.ts";
import { floorArguments } from "./floor.ts";

/** Fills "library start" and more of "floor". */
export async function library(bench: Bench): Promise<void> {
  const { samples, sizes, dir, world } = bench;
  const floor = stepper([await compiled(dir, "floor"), ...floorArguments(bench, "library")], world.env);
  const process_ = stepper([process.execPath, `${import.meta.dir}/../library-start.ts`], world.env);
  try {
    for (let round = -5; round < sizes.rounds; round += 1) {
      const ours = await process_.step();
      const theirs = (await floor.step()) / 1000;
      if (round < 0) continue; // the first ones are compiled while they run
      samples.add("library start", ours);
      samples.add("floor", theirs);
    }
  } finally {
    await process_.end();
    await floor.end();
  }
}
