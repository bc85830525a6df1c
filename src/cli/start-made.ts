/** The `--start` of commands that make a container. */
import { BerthError } from "../base/errors.ts";
import { withContainer } from "../container/container.ts";
import { removeContainer } from "../container/remove.ts";
import { startContainer } from "../container/start.ts";
import { warnTo } from "./each.ts";
import type { CommandContext } from "./framework/command.ts";

/**
 * Starts what was made just now; gives init's pid. After Ctrl-C it is removed instead. A start that fails leaves it there:
 * its settings can be mended.
 */
export async function startMade(
  name: string,
  made: "created" | "cloned" | "restored",
  context: Pick<CommandContext, "progress">,
): Promise<number> {
  try {
    context.progress.signal.throwIfAborted();
    return await withContainer(name, async (container) => {
      if (!container.state.suspended) return await startContainer(container, warnTo(context));
      const { resumeContainer } = await import("../checkpoint/resume.ts");
      return (await resumeContainer(container, context.progress)).pid;
    });
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    if (error.code === "interrupted") {
      await removeContainer(name, true);
      throw error;
    }
    throw new BerthError(
      error.code,
      `${error.message}; it was ${made} all the same`,
      `${error.hint}\nthen \`berth start ${name}\`, or \`berth rm ${name}\``,
      error,
    );
  }
}
