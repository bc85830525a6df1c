/**
 * A person's shell on a lab host: `bun lab/shell.ts [--kind KIND] [--pair] [--payload DIR] [--build] [COMMAND...]`.
 * With COMMAND runs that instead and ends with its exit code; with `--build` only builds what is missing.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Host, hostKinds, isKindName, lab } from "./lab.ts";
import { projectDir } from "./paths.ts";
import { report } from "./progress.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kind: { type: "string", default: "debian-13" },
    payload: { type: "string" },
    pair: { type: "boolean", default: false },
    build: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

const usage = `usage: npm run lab -- [--kind ${Object.keys(hostKinds).join("|")}] [--payload DIR] [--pair] [--build] [COMMAND...]
  --kind     the host's kind (default debian-13)
  --payload  a directory to see at /payload (default dist/, when there is one)
  --pair     two hosts on a LAN; the shell is on h1, h2 is reached by ssh
  --build    build and save the kind's host, start none`;

async function main(): Promise<number> {
  const { kind } = values;
  if (values.help || !isKindName(kind)) {
    process.stderr.write(`${usage}\n`);
    return values.help ? 0 : 2;
  }
  if (values.build) {
    await lab.prepare(kind);
    return 0;
  }
  const dist = join(projectDir, "dist");
  const payload = values.payload ?? (existsSync(dist) ? dist : undefined);
  const options = payload === undefined ? { kind } : { kind, payload };
  try {
    const h1 = values.pair ? (await lab.pair(options)).h1 : await lab.host("h1", options);
    return await converse(h1, positionals.length > 0 ? positionals.join(" ") : undefined);
  } finally {
    await lab.close();
  }
}

/** Joins our terminal to a shell, or runs one command. */
async function converse(host: Host, command: string | undefined): Promise<number> {
  if (command === undefined)
    report(`${host.kind} ${host.name}, a throw-away host; leave the shell to end it`);
  const { stdin, stdout } = process;
  const terminal = { rows: stdout.rows || 24, columns: stdout.columns || 80 };
  const environment = ["env", `TERM=${process.env.TERM ?? "xterm"}`];
  const program = command === undefined ? ["bash", "-l"] : ["bash", "-c", command];
  const running = host.open([...environment, ...program], stdin.isTTY ? terminal : undefined, (data) =>
    stdout.write(data),
  );
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on("data", (data: Buffer) => void running.write(data));
  stdin.on("end", () => running.endInput());
  stdout.on("resize", () => running.resize(stdout.rows, stdout.columns));
  try {
    return await running.exited;
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  }
}

process.exitCode = await main();
