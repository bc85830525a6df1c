/** The `berth` program. Nothing is loaded before it is known to be needed: `berth --version` must not pay for a start. */
import { trace } from "../base/trace.ts";
import { version } from "../base/version.ts";

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.length === 1 && argv[0] === "--version") {
    console.log(`berth ${version}`);
    return;
  }
  trace("engine started");
  const [{ runProgram }, { commandTable }] = await Promise.all([
    import("./framework/program.ts"),
    import("./command-table.ts"),
  ]);
  trace("command line loaded");
  process.exit(await runProgram(commandTable, argv, version));
}

void main();
