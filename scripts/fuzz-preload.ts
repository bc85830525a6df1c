/** Loaded before property tests by `npm run fuzz`: each property is tried until its time is up. */
import fc from "fast-check";

const seconds = Number(process.env.BERTH_FUZZ_SECONDS ?? 60);

fc.configureGlobal({ numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1000 });
