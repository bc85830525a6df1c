import type { LockedContainer } from "../container/container.ts";
export async function refuseUncheckable(_c: LockedContainer): Promise<void> {}
