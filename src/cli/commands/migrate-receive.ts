import { requireRoot } from "../../base/root.ts";
import { openChannel, SILENCE_MS, unlessSilent, writingTo } from "../../migrate/channel.ts";
import { serveSource } from "../../migrate/destination.ts";
import { defineCommand } from "../framework/command.ts";

const STDOUT = 1;

/** Run by `berth migrate` of another host; speaks its protocol on stdin and stdout. */
export const command = defineCommand({
  name: "migrate-receive",
  summary: "Take a container from another host",
  arguments: [],
  options: [],
  hidden: true,
  examples: [],
  async run() {
    requireRoot();
    await serveSource(openChannel(unlessSilent(Bun.stdin.stream(), SILENCE_MS), writingTo(STDOUT)));
  },
});
