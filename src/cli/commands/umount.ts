import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { type LockedContainer, withContainer } from "../../container/container.ts";
import { isMounted, unmountContainer } from "../../container/mounted.ts";
import { namesArgument, namesOf } from "../each.ts";
import { defineCommand } from "../framework/command.ts";
import { eachName } from "../framework/each-name.ts";

export const command = defineCommand({
  name: "umount",
  summary: "Unmount containers that were mounted on the host",
  description:
    "Takes away what `berth mount` mounted, wherever that is. `--all` unmounts those that are mounted.",
  arguments: [namesArgument],
  options: [],
  examples: [{ command: "berth umount web1", what: "Unmount it, so that it can start" }],
  seeAlso: ["mount"],
  async run(context) {
    requireRoot();
    return await eachName(
      context,
      namesOf(context, isMounted),
      (name) => withContainer(name, async (container) => unmounted(container), { lenient: true }),
      {
        render: (name, paths) => (context.quiet ? undefined : `${name}: unmounted from ${paths.join(", ")}`),
      },
    );
  },
});

function unmounted(container: LockedContainer): readonly string[] {
  const paths = unmountContainer(container);
  if (paths.length > 0) return paths;
  throw new BerthError(
    "container.not-mounted",
    `container ${container.name} is not mounted`,
    "`berth ls` marks those that are",
  );
}
