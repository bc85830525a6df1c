/** Freezing: every process of the guest stands still until it is thawed; its memory and connections stay. */
import { BerthError } from "../base/errors.ts";
import { cgroups } from "../resources/cgroup.ts";
import { type LockedContainer, mustRun } from "./container.ts";

/** Throws container.frozen or container.not-running when there is nothing to do. */
export function freezeContainer({ name }: LockedContainer): void {
  if (mustRun(name).state === "frozen")
    throw new BerthError("container.frozen", `container ${name} is frozen already`, `berth thaw ${name}`);
  cgroups().setFrozen(name, true);
}

export function thawContainer({ name }: LockedContainer): void {
  if (mustRun(name).state !== "frozen")
    throw new BerthError("container.running", `container ${name} is not frozen`, `berth freeze ${name}`);
  cgroups().setFrozen(name, false);
}
