import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { BerthError } from "../../base/errors.ts";
import { containerPaths } from "../../base/paths.ts";
import { requireRoot } from "../../base/root.ts";
import { replaceConfig } from "../../container/change.ts";
import { withContainer } from "../../container/container.ts";
import { resolveName } from "../../container/name.ts";
import { nameArgument, warnTo } from "../each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "config edit",
  summary: "Edit a container's config.yaml",
  description:
    "Opens a copy in $VISUAL, $EDITOR or vi, checks what comes back, and only then puts it in place. When it has faults they are shown, the copy is kept and named, and nothing has changed.",
  arguments: [nameArgument],
  options: [],
  examples: [{ command: "EDITOR=nano berth config edit web1", what: "Edit with nano" }],
  seeAlso: ["config show", "set"],
  async run(context) {
    requireRoot();
    const name = resolveName(context.arguments.name);
    const before = readFileSync(containerPaths(name).config, "utf8");
    const dir = mkdtempSync(`${tmpdir()}/berth-edit-`);
    const copy = `${dir}/${name}.yaml`;
    writeFileSync(copy, before, { mode: 0o600 });
    await runEditor(copy);
    const after = readFileSync(copy, "utf8");
    if (after === before) {
      rmSync(dir, { recursive: true });
      context.out.result({ name, changed: false }, () => `${name}: nothing changed`);
      return;
    }
    const result = await withContainer(name, async (container) => {
      if (readFileSync(containerPaths(name).config, "utf8") !== before) {
        throw new BerthError(
          "container.busy",
          `${name}: config.yaml was changed by somebody else meanwhile`,
          `your text is kept in ${copy}`,
        );
      }
      return await replaceConfig(container, after).catch((error: unknown) => {
        throw error instanceof BerthError
          ? new BerthError(
              error.code,
              error.message,
              `your text is kept in ${copy}; nothing has changed`,
              error,
            )
          : error;
      });
    });
    rmSync(dir, { recursive: true });
    result.warnings.forEach(warnTo(context));
    context.out.result({ name, changed: true, ...result }, () =>
      result.atNextStart.length === 0
        ? `${name}: changed`
        : `${name}: changed; at the next start: ${result.atNextStart.join(", ")}`,
    );
  },
});

/** The operator's own choice of a command line, so a shell may read it; the file's name is an argument of its own. */
async function runEditor(file: string): Promise<void> {
  const editor = process.env.VISUAL || process.env.EDITOR || "vi";
  const child = Bun.spawn(["/bin/sh", "-c", `exec ${editor} "$1"`, "sh", file], {
    stdio: ["inherit", "inherit", "inherit"],
  });
  if ((await child.exited) !== 0)
    throw new BerthError(
      "host.command-failed",
      `the editor ${editor} failed`,
      `set EDITOR; your text is kept in ${file}`,
    );
}
