/** npm run bench: setup, build and the peers' packages, then bench/run.ts (docs/performance.md). */
import { join } from "node:path";
import { installPackages } from "./packages.mjs";
import { bun, must, root, run } from "./project.mjs";

must("node", [join(root, "scripts/setup.mjs")]);
must("node", [join(root, "scripts/build.mjs")]);
installPackages(["lxc", "runc", "crun", "systemd-container"]);
process.exit(run(bun(), [join(root, "bench/run.ts"), ...process.argv.slice(2)]));
