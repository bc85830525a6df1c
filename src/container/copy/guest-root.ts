/** The root of a container as a descriptor, whether or not it runs. */
import { closeSync, constants, openSync } from "node:fs";
import { BerthError } from "../../base/errors.ts";
import { O_PATH } from "../../kernel/openat2.ts";
import type { ProcessId } from "../../kernel/process.ts";
import { openContainer, withContainer } from "../container.ts";
import { isAlive, statusOf } from "../status.ts";
import { withView } from "../view-root.ts";

export type GuestRoot = {
  readonly fd: number;
  /** First host id of the container's own; 0 when privileged. */
  readonly baseUid: number;
  readonly name: string;
  /** Throws when the guest has ended since: what is open then keeps its disk from being let go. */
  readonly check: () => void;
};

/** Runs `work` on the root. What it opens it closes. */
export async function withGuestRoot<T>(
  word: string,
  options: { readonly readOnly: boolean },
  work: (root: GuestRoot) => Promise<T>,
): Promise<T> {
  const { name, state } = await openContainer(word);
  const status = statusOf(name);
  if (status.state !== "stopped") {
    const check = (): void => mustLive(name, status.init);
    return await onFd(`/proc/${status.init.pid}/root`, async (fd) => {
      // Looked at once it is open: so it was this process's root, and not that of one that got its number.
      check();
      return await work({ fd, name, baseUid: state.baseUid, check });
    });
  }
  return await withContainer(name, (container) =>
    withView(container, options, (path) =>
      onFd(path, (fd) => work({ fd, name, baseUid: state.baseUid, check: () => {} })),
    ),
  );
}

function mustLive(name: string, init: ProcessId): void {
  if (isAlive(init)) return;
  throw new BerthError(
    "container.not-running",
    `container ${name} has ended while it was copied`,
    "copy again: it works with a stopped container as well",
  );
}

async function onFd<T>(path: string, work: (fd: number) => Promise<T>): Promise<T> {
  const fd = openSync(path, O_PATH | constants.O_DIRECTORY);
  try {
    return await work(fd);
  } finally {
    closeSync(fd);
  }
}
