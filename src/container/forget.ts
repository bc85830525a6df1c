/** What a copy of a guest must not share with it: keys and seeds that say who it is. They are made anew at its next boot. */
import { list, remove, withTree } from "../storage/tree.ts";
import type { LockedContainer } from "./container.ts";
import { withView } from "./view-root.ts";

const sshDir = "etc/ssh";
const files = ["var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"] as const;

/** Removes them from a stopped container. /etc/machine-id is written at its first start. */
export async function forgetIdentity(container: LockedContainer): Promise<void> {
  if (container.state.layers.length === 0) return;
  await withView(container, { readOnly: false }, async (root) =>
    withTree(`${root}/.`, (tree) => {
      for (const key of list(tree, sshDir).filter((file) => /^ssh_host_.*key/.test(file)))
        remove(tree, `${sshDir}/${key}`);
      for (const file of files) remove(tree, file);
    }),
  );
}
