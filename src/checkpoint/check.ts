/** The lines of `berth check` on checkpoints. */
import type { Finding } from "../container/check.ts";
import { preCopyCure, preCopyFault } from "./pre-copy.ts";
import { criuCure, findCriu } from "./program.ts";

/** What suspend and migration build on. */
export async function checkCheckpoints(): Promise<Finding[]> {
  return [await checkCheckpoint(), await checkPreCopy()];
}

async function checkCheckpoint(): Promise<Finding> {
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

async function checkPreCopy(): Promise<Finding> {
  const layer = "pre-copy";
  const fault = await preCopyFault();
  return fault === undefined
    ? { layer, verdict: "present", detail: "a migration sends memory while the guest works", cure: "" }
    : {
        layer,
        verdict: "absent",
        detail: `${fault}: a migration sends memory while the guest stands still`,
        cure: preCopyCure,
      };
}
