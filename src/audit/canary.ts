/** The canary: a process of the host with a secret in every place that a guest must not reach. Attempts are held against it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { sha256 } from "../base/digest.ts";
import { BerthError } from "../base/errors.ts";
import { readIfExists } from "../base/files.ts";
import { instance } from "../base/paths.ts";
import { binaryPath } from "../kernel/binaries.ts";
import type { Facts } from "./attacker.ts";

export type Canary = { readonly facts: Facts; readonly end: () => Promise<void> };

/** Starts it with its file in `dir`. It ends with this process, whatever happens, and takes all it made along. */
export async function startCanary(dir: string): Promise<Canary> {
  const tag = instance.tag || sha256("the host's own").slice(0, 8);
  const child = Bun.spawn([binaryPath("berth-audit"), "canary", tag, dir], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    env: { BERTH_AUDIT: "canary" },
  });
  const text = await readUntilEmptyLine(child.stdout);
  if (text === undefined) {
    const why = (await new Response(child.stderr).text()).trim();
    throw new BerthError("host.command-failed", `the audit's canary did not start: ${why}`, "`berth check`");
  }
  return {
    facts: [...text.split("\n").filter((line) => line.includes("=")), ...hostDisk(), ...hostLink()],
    end: async () => {
      child.stdin.end();
      await child.exited;
    },
  };
}

async function readUntilEmptyLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (text.endsWith("\n\n")) return text;
  }
  return undefined;
}

/** The host's first disk, by number and name. */
function hostDisk(): Facts {
  const name = listDir("/sys/block").find((disk) => !/^(loop|ram|zram|sr|fd|dm-|md|nbd)/.test(disk));
  const number = name === undefined ? undefined : readIfExists(`/sys/block/${name}/dev`)?.trim();
  return name === undefined || number === undefined ? [] : [`disk=${number}`, `disk-name=${name}`];
}

/** The host's first link, by name and address. */
function hostLink(): Facts {
  const name = listDir("/sys/class/net").find(
    (link) => link !== "lo" && existsSync(`/sys/class/net/${link}/device`),
  );
  if (name === undefined) return [];
  return [`link=${name}`, `link-mac=${readFileSync(`/sys/class/net/${name}/address`, "utf8").trim()}`];
}

const listDir = (path: string): string[] => (existsSync(path) ? readdirSync(path).sort() : []);
