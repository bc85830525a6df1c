import { requireRoot } from "../../base/root.ts";
import { withContainer } from "../../container/container.ts";
import { mountContainer } from "../../container/mount.ts";
import { nameArgument } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "mount",
  summary: "Mount a stopped container's root on the host",
  description:
    "Its files as the guest would see them, for the host's root to read and change: at DIR, or at a place that it prints. Files belong to the container's own ids: what is the guest's root's has its base uid. Nothing in it is run, is a device or gives rights on the host (noexec, nodev, nosuid), and no symbolic link of it is followed (nosymfollow), since a guest may have planted links that lead to files of the host.\n\nWhile it is mounted the container cannot be started, resized or removed. A running container needs no mount: its root is /proc/PID/root, with PID from `berth info`; `berth cp` and `berth exec` work in it.",
  arguments: [
    nameArgument,
    { name: "dir", kind: "path", optional: true, summary: "An empty directory to mount it on" },
  ],
  options: [
    { name: "read-only", kind: "flag", summary: "Nothing in it can be changed" },
    {
      name: "follow-symlinks",
      kind: "flag",
      summary: "Follow links as the host resolves them: never for a guest you do not trust",
    },
  ],
  examples: [
    { command: "berth mount web1", what: "Mount it, and print where" },
    { command: "berth mount --read-only web1 /mnt", what: "Look, and change nothing" },
  ],
  seeAlso: ["umount", "cp", "run-script"],
  async run(context) {
    requireRoot();
    const { name, dir } = context.arguments;
    const readOnly = context.options["read-only"];
    const followSymlinks = context.options["follow-symlinks"];
    const mounted = await withContainer(name, async (container) => ({
      name: container.name,
      path: await mountContainer(container, { dir, readOnly, followSymlinks }),
      readOnly,
    }));
    if (followSymlinks)
      context.progress.emit({
        type: "warning",
        text: `links in ${mounted.path} are followed on the host: one that the guest planted can lead to any file of the host`,
      });
    context.out.result(mounted, () => mounted.path);
  },
});
