/** Files into a host and out of it, through the agent: about 15 MB/s. */
import { once } from "node:events";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { basename } from "node:path";
import type { Agent } from "./agent.ts";
import { within } from "./deadline.ts";
import { labError } from "./error.ts";

/** Copies a file with its mode, or a directory with all below it. The directory above `remote` is made. */
export async function put(agent: Agent, local: string, remote: string): Promise<void> {
  if (statSync(local).isDirectory()) await putDirectory(agent, local, remote);
  else await putFile(agent, local, remote);
}

async function putFile(agent: Agent, local: string, remote: string): Promise<void> {
  const mode = (statSync(local).mode & 0o7777).toString(8);
  const script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"';
  await pour(
    agent,
    ["sh", "-c", script, "sh", remote, mode],
    createReadStream(local),
    `putting ${basename(local)} to ${remote}`,
  );
}

async function putDirectory(agent: Agent, local: string, remote: string): Promise<void> {
  const tar = Bun.spawn(["tar", "-C", local, "-cf", "-", "."], { stdin: "ignore", stdout: "pipe" });
  const script = 'mkdir -p "$1" && tar --no-same-owner -C "$1" -xf -';
  await pour(agent, ["sh", "-c", script, "sh", remote], tar.stdout, `putting ${local} to ${remote}`);
}

/** Milliseconds without any progress after which a copy is given up. */
const stallLimit = 60_000;

async function pour(
  agent: Agent,
  argv: readonly string[],
  source: AsyncIterable<Uint8Array>,
  what: string,
): Promise<void> {
  let complaint = "";
  const running = agent.start(argv, {
    stdout: () => undefined,
    stderr: (data) => {
      complaint += Buffer.from(data).toString();
    },
  });
  const stalled = (): never => {
    running.kill(9);
    throw labError(`${what}: no progress in ${stallLimit / 1000} s`);
  };
  for await (const chunk of source) await within(stallLimit, running.write(chunk), stalled);
  running.endInput();
  const code = await within(stallLimit, running.exited, stalled);
  if (code !== 0) throw labError(`${what}: ${complaint.trim()}`);
}

/** Copies a file from the host. */
export async function get(agent: Agent, remote: string, local: string): Promise<void> {
  const file = createWriteStream(local);
  let complaint = "";
  const running = agent.start(["cat", "--", remote], {
    stdout: (data) => void file.write(data),
    stderr: (data) => {
      complaint += Buffer.from(data).toString();
    },
  });
  running.endInput();
  const code = await running.exited;
  file.end();
  await once(file, "close");
  if (code !== 0) throw labError(`getting ${remote}: ${complaint.trim()}`);
}
