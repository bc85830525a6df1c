/** The line of `berth check` on checkpoints. */
import type { Finding } from "../container/check.ts";
import { criuCure, findCriu } from "./program.ts";

export async function checkCheckpoint(): Promise<Finding> {
  const found = await findCriu();
  return "fault" in found
    ? {
        layer: "checkpoint",
        verdict: "absent",
        detail: `${found.fault}: no suspend, no migration`,
        cure: criuCure,
      }
    : {
        layer: "checkpoint",
        verdict: "present",
        detail: `CRIU ${found.version} (${found.argv[0]}) writes processes down and brings them back`,
        cure: "",
      };
}
