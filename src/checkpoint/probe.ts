/** Whether a criu works on this kernel: tried on a small process, since `criu check` says yes where it does not. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename } from "node:path";
import { binaryPath } from "../kernel/binaries.ts";
import { sendSignal, startTime } from "../kernel/process.ts";
import { runProgram } from "../kernel/run.ts";
import { complaintOf } from "./log.ts";

const SIGKILL = 9;

/** Why this criu cannot be used, or undefined: a process was written down (`inPasses`: its memory in two of them) and brought back. */
export async function probe(argv: readonly string[], inPasses = false): Promise<string | undefined> {
  const dir = mkdtempSync(`${tmpdir()}/berth-probe-`);
  const child = Bun.spawn([binaryPath("berth-launch"), "probe"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: {},
  });
  try {
    const reader = child.stdout.getReader();
    const said = Buffer.from((await reader.read()).value ?? []).toString();
    if (!said.startsWith("ok ")) return `a process to try it on cannot be made: ${said.trim()}`;
    const shared = ["-W", dir, "-v1", "--empty-ns", "net", "--network-lock", "nftables"];
    const of = ["-t", String(child.pid)];
    const before = mkdtempSync(`${dir}/pass-`);
    const steps = [
      ...(inPasses ? [["pre-dump", "-D", before, ...of, "--track-mem"]] : []),
      ["dump", "-D", dir, ...of, ...(inPasses ? ["--track-mem", "--prev-images-dir", basename(before)] : [])],
      ["restore", "-D", dir, "--restore-detached", "--pidfile", `${dir}/pid`],
    ];
    for (const step of steps) {
      const command = [...argv, ...step, ...shared, "-o", `${step[0]}.log`];
      const { code } = await runProgram(command, { package: "criu" });
      if (code !== 0) return `${step[0]}: ${complaintOf(readFileSync(`${dir}/${step[0]}.log`, "utf8")).what}`;
      // Its pid must be free before it is brought back under it.
      if (step[0] === "dump") await child.exited;
    }
    end(Number(readFileSync(`${dir}/pid`, "utf8")));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    child.kill(SIGKILL);
    rmSync(dir, { recursive: true, force: true });
  }
}

function end(pid: number): void {
  const since = startTime(pid);
  if (since !== undefined) sendSignal({ pid, startTime: since }, SIGKILL);
}
