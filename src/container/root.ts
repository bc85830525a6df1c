/** The records that make a container's root: template, frozen layers, its own volume. */
import type { PlanRecord } from "../kernel/plan.ts";
import { rootRecords } from "../storage/overlay.ts";
import type { Container } from "./container.ts";
import { templateOf } from "./templates.ts";

export function rootRecordsOf({ config, state }: Pick<Container, "config" | "state">): readonly PlanRecord[] {
  return rootRecords({
    volume: { id: state.uuid, storage: state.storage },
    layers: state.layers,
    rootfs: templateOf(state).rootfs,
    baseUid: state.baseUid,
    shifted: !config.privileged,
  });
}
