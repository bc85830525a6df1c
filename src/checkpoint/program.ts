/** Which criu is used: the distribution's where it works, else the newer one that setup brought. Found by doing. */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { BerthError } from "../base/errors.ts";
import { makeDirs, writeAtomic } from "../base/files.ts";
import { cacheDir } from "../base/paths.ts";
import { runProgram } from "../kernel/run.ts";
import { programPath } from "../storage/program.ts";
import { probe } from "./probe.ts";

export type Criu = {
  /** The program, absolute, and arguments that always go first. */
  readonly argv: readonly string[];
  readonly version: string;
};

/** Where scripts/criu.mjs and the package put theirs. */
const privateCriu = "/usr/local/lib/berth/criu/bin/criu";

/** What a look at one program found: `fault` says why it cannot be used. */
type Trial = { readonly path: string; readonly version: string; readonly fault: string | undefined };

/** The distribution's own first. BERTH_CRIU names one that is to be used instead. */
function candidates(): readonly string[] {
  const named = process.env.BERTH_CRIU;
  if (named !== undefined && named !== "") return [named];
  const own = Bun.which("criu", { PATH: programPath });
  return [...(own === null ? [] : [own]), privateCriu].filter(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The criu that works here, or why none does. What was found is kept for this kernel and these programs. */
export async function findCriu(): Promise<Criu | { readonly fault: string }> {
  const faults: string[] = [];
  for (const path of candidates()) {
    const { version, fault } = await trialOf(path);
    if (fault === undefined) return { argv: [path], version };
    faults.push(`${path} (${version}): ${fault}`);
  }
  return { fault: faults.length === 0 ? "criu is not installed" : faults.join("; ") };
}

/** The criu that works here. Throws host.missing-feature. */
export async function needCriu(): Promise<Criu> {
  const found = await findCriu();
  if (!("fault" in found)) return found;
  throw new BerthError("host.missing-feature", `this host cannot checkpoint: ${found.fault}`, criuCure);
}

export const criuCure =
  "apt-get install criu; on kernels from 6.16 on CRIU 4.2 or newer, which `npm run setup` brings";

/** Tries a program, on a process whose memory is written down in passes when that is asked. What works is kept. */
export async function trialOf(path: string, inPasses = false): Promise<Trial> {
  const { ino, size, mtimeMs } = statSync(path);
  const key = `1 ${release()} ${path} ${ino} ${size} ${mtimeMs}${inPasses ? " in passes" : ""}`;
  const file = `${cacheDir()}/criu.json`;
  const known = readTrials(file);
  const cached = known[key];
  if (cached !== undefined) return cached;
  const { stdout } = await runProgram([path, "--version"], { package: "criu" });
  const version = /^Version: (\S+)/m.exec(stdout)?.[1] ?? "unknown version";
  const trial: Trial = { path, version, fault: await probe([path], inPasses) };
  // A fault may be of the moment: only what works is kept.
  if (trial.fault !== undefined) return trial;
  makeDirs(cacheDir());
  writeAtomic(file, JSON.stringify({ ...known, [key]: trial }), { sync: false });
  return trial;
}

/** A cache of our own making: damaged, it is as if it were empty. */
function readTrials(file: string): Record<string, Trial> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, Trial>;
  } catch {
    return {};
  }
}
