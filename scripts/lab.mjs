// npm run lab -- [--kind debian-12] [--pair] [COMMAND...]: a shell, or one command, on a lab host. See docs/lab.md.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const project = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..");
const bun = join(project, "node_modules/.bin/bun");

if (!existsSync(bun)) {
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: project, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
const { status } = spawnSync(bun, [join(project, "lab/shell.ts"), ...process.argv.slice(2)], {
  stdio: "inherit",
});
process.exit(status ?? 1);
