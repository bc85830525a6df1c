/**
 * A Debian or Ubuntu tree by mmdebstrap. It is the only program that runs the tree's own programs on the host
 * (maintainer scripts), so it gets namespaces of its own: whatever it mounts or starts ends with it, and it ends
 * with us, even if we are killed.
 */
import { existsSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import type { Progress } from "../base/progress.ts";
import { architecture, basePackages, type DebianLike } from "./distributions.ts";
import { dpkgExcludes } from "./polish.ts";
import { needProgram, programPath } from "./program.ts";
import { type AptProxies, type Archive, formatOneLine } from "./sources.ts";
import type { Staging } from "./staging.ts";

export type Bootstrap = {
  readonly from: DebianLike;
  readonly suite: string;
  readonly archive: Archive;
  readonly include: readonly string[];
  readonly proxies: AptProxies;
};

/** Fails unless mmdebstrap and the archive's keyring are there. */
export function needBootstrap(from: DebianLike): void {
  for (const name of ["mmdebstrap", "unshare", "setpriv"] as const) needProgram(name);
  if (!existsSync(from.keyring))
    throw new BerthError(
      "host.missing-program",
      `the keyring ${from.keyring}, which verifies the archive of ${from.kind}, is not installed`,
      `apt-get install ${from.keyringPackage}, or copy that file from a ${from.kind} host`,
    );
}

/** Fills staging.rootfs. Percent goes from 0 to 90. */
export async function bootstrap(what: Bootstrap, staging: Staging, progress: Progress): Promise<void> {
  const child = Bun.spawn(command(what, staging.rootfs), {
    env: {
      PATH: programPath,
      LC_ALL: "C.UTF-8",
      TMPDIR: staging.temporary,
      DEBIAN_FRONTEND: "noninteractive",
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const abort = (): void => child.kill("SIGKILL");
  progress.signal.addEventListener("abort", abort, { once: true });
  if (progress.signal.aborted) abort();
  const watch = watchOutput(progress);
  try {
    // The pipes end when the last process of the build has gone, not just the first.
    await Promise.all([readLines(child.stdout, watch.line), readLines(child.stderr, watch.line)]);
    const code = await child.exited;
    progress.signal.throwIfAborted();
    if (code !== 0) throw failure(what, code, watch.last());
  } finally {
    progress.signal.removeEventListener("abort", abort);
  }
}

function command({ from, suite, archive, include, proxies }: Bootstrap, rootfs: string): string[] {
  const packages = [...basePackages, ...(from.kind === "ubuntu" ? [from.keyringPackage] : []), ...include];
  return [
    needProgram("setpriv"),
    "--pdeathsig=KILL",
    needProgram("unshare"),
    "--mount",
    "--propagation=private",
    "--pid",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
    needProgram("mmdebstrap"),
    "--verbose",
    "--mode=root",
    "--variant=minbase",
    "--format=directory",
    `--architectures=${architecture}`,
    `--keyring=${from.keyring}`,
    `--include=${packages.join(",")}`,
    ...dpkgExcludes.map((line) => `--dpkgopt=${line}`),
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=Acquire::Retries "3"',
    ...(proxies.http === undefined ? [] : [`--aptopt=Acquire::http::Proxy "${proxies.http}"`]),
    ...(proxies.https === undefined ? [] : [`--aptopt=Acquire::https::Proxy "${proxies.https}"`]),
    "--",
    suite,
    rootfs,
    ...formatOneLine(archive.sources),
  ];
}

function failure({ from, suite, archive }: Bootstrap, code: number, last: readonly string[]): BerthError {
  const telling = last.filter((line) => /^(E|Err|W|dpkg|gpgv?|mmdebstrap):?/i.test(line));
  const words = (telling.length > 0 ? telling : last).slice(-4).join("; ");
  const hint = /unable to locate package|has no installation candidate/i.test(words)
    ? "a package of --include does not exist in that release"
    : /NO_PUBKEY|not signed|signature|Missing key/i.test(words)
      ? `the keyring of this host does not know the archive's key: apt-get install --only-upgrade ${from.keyringPackage}`
      : /no space left/i.test(last.join("\n"))
        ? "free some space on the file system that holds the templates"
        : "try again; if the mirror is at fault name another with --mirror URL";
  return new BerthError(
    /no space left/i.test(last.join("\n")) ? "host.no-space" : "template.build-failed",
    `building ${from.kind} ${suite} from ${archive.mirror} failed: ${words || `mmdebstrap ended with ${code}`}`,
    hint,
  );
}

async function readLines(stream: ReadableStream<Uint8Array>, line: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split(/[\r\n]+/);
    rest = parts.pop() ?? "";
    for (const part of parts) if (part !== "") line(part);
  }
  if (rest !== "") line(rest);
}

/** mmdebstrap's phases: what it prints, what we say, and where they end in percent of a build (measured on Debian 13). */
const phases: readonly {
  readonly line: RegExp;
  readonly label: string;
  readonly from: number;
  readonly to: number;
}[] = [
  { line: /^I: running apt-get update/, label: "reading the package lists", from: 1, to: 12 },
  { line: /^I: downloading packages/, label: "downloading the essential packages", from: 12, to: 28 },
  { line: /^I: extracting archives/, label: "unpacking the essential packages", from: 28, to: 35 },
  { line: /^I: installing essential/, label: "installing the essential packages", from: 35, to: 55 },
  { line: /^I: installing remaining/, label: "installing the other packages", from: 55, to: 88 },
  { line: /^I: cleaning package lists/, label: "cleaning up", from: 88, to: 90 },
];

function watchOutput(progress: Progress) {
  const lines: string[] = [];
  let phase = phases[0];
  let steps = 0;
  let shown = 0;
  const advance = (percent: number): void => {
    if (phase === undefined || percent <= shown) return;
    shown = percent;
    progress.emit({ type: "advance", label: phase.label, done: percent, total: 100, unit: "percent" });
  };
  return {
    line(text: string): void {
      lines.push(text);
      if (lines.length > 60) lines.shift();
      const next = phases.find(({ line }) => line.test(text));
      if (next !== undefined) {
        phase = next;
        steps = 0;
        progress.emit({ type: "step", label: next.label });
        advance(next.from);
      } else if (phase !== undefined && /^(Get:|Unpacking |Setting up |extracting )/.test(text)) {
        // How many are to come is not known beforehand: each one takes its share of what is left.
        steps += 1;
        advance(Math.floor(phase.to - (phase.to - phase.from) * 0.98 ** steps));
      }
    },
    last: (): readonly string[] => lines,
  };
}
