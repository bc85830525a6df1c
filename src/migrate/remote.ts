/** Starting berth on the other host: by ssh, which asks for passwords and keys as it always does, or by another program. */
import { BerthError } from "../base/errors.ts";
import type { Destination } from "../container/intent.ts";
import { type Channel, openChannel } from "./channel.ts";
import { type Pace, paced } from "./pace.ts";

/** What is run there. */
const RECEIVE = "migrate-receive";

/** A line that is dead for so long ends: seconds between signs of life, and how many may be missing. */
const ALIVE = ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=20"];

export type Remote = {
  readonly channel: Channel;
  /** Bounds what is sent. */
  readonly limit: Pace["limit"];
  /** Ends the line, also one that has ended; gives what the other side said on stderr. */
  readonly end: () => Promise<string>;
};

/** Takes "[ssh://][USER@]HOST[:PORT]" apart. Throws usage.bad-argument. */
export function parseHost(text: string): { readonly login: string; readonly port: string | undefined } {
  const form = /^(?:ssh:\/\/)?((?:[\w.-]+@)?(?:[\w.-]+|\[[0-9a-fA-F:.%\w]+\]))(?::(\d{1,5}))?\/?$/;
  const [, login = "", port] = form.exec(text) ?? [];
  if (login === "" || login.startsWith("-") || login.includes("@-"))
    throw new BerthError(
      "usage.bad-argument",
      `${JSON.stringify(text)} is no host to migrate to`,
      "write it as ssh has it: host2, root@host2, ssh://root@host2:2222",
    );
  return { login: login.replace(/[[\]]/g, ""), port };
}

/** The program and its words that run berth on the other host. */
export function remoteCommand({ host, rsh }: Destination): readonly string[] {
  const { login, port } = parseHost(host);
  if (rsh !== null) return [...rsh, RECEIVE];
  const ssh = process.env.BERTH_SSH ?? "ssh";
  const to = port === undefined ? [] : ["-p", port];
  return [ssh, "-T", ...ALIVE, ...to, "--", login, `berth ${RECEIVE}`];
}

/** Starts it. Throws migrate.failed when the program is not there. */
export function openRemote(destination: Destination): Remote {
  const argv = remoteCommand(destination);
  const child = start(argv);
  const words = new Response(child.stderr).text();
  const pace = paced(async (bytes) => {
    child.stdin.write(bytes);
    await child.stdin.flush();
  });
  return {
    channel: openChannel(child.stdout, pace.write),
    limit: pace.limit,
    end: async () => {
      await Promise.resolve(child.stdin.end()).catch(() => {});
      await child.exited;
      return (await words).trim();
    },
  };
}

/** Ctrl-C is for us alone: the line is needed to take things back. */
const DEAF = 'trap "" INT; exec "$@"';

function start(argv: readonly string[]) {
  try {
    return Bun.spawn(["/bin/sh", "-c", DEAF, "sh", ...argv], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
  } catch (error) {
    throw new BerthError(
      "migrate.failed",
      `${argv[0]} cannot be run`,
      "apt-get install openssh-client, or name another program with --rsh",
      error,
    );
  }
}
