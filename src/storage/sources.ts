/** Which archive to build from: the mirror that the host itself uses, when it is one of that distribution. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { BerthError } from "../base/errors.ts";
import type { DebianLike } from "./distributions.ts";
import { findProgram, run } from "./program.ts";

/** One apt source: a URI with some of its suites and components. */
export type Source = {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
};

/** The `deb` sources of an apt directory with http or https URIs, in apt's order (sources.list(5)). */
export function hostSources(aptDir = "/etc/apt"): readonly Source[] {
  const parts = `${aptDir}/sources.list.d`;
  const files = [
    `${aptDir}/sources.list`,
    ...(existsSync(parts) ? readdirSync(parts).sort() : []).map((name) => `${parts}/${name}`),
  ];
  return files
    .filter((file) => /\.(list|sources)$/.test(file) && existsSync(file))
    .flatMap((file) =>
      file.endsWith(".sources")
        ? parseDeb822(readFileSync(file, "utf8"))
        : parseOneLine(readFileSync(file, "utf8")),
    )
    .filter(({ uri }) => /^https?:\/\//.test(uri))
    .map((source) => ({ ...source, uri: source.uri.replace(/\/+$/, "") }));
}

/** `deb [options] URI SUITE COMPONENT...` */
export function parseOneLine(text: string): readonly Source[] {
  const lines = text.matchAll(/^[ \t]*deb[ \t]+(?:\[[^\]\n]*\][ \t]+)?(\S+)[ \t]+(\S+)([^#\n]*)/gm);
  return [...lines].map(([, uri = "", suite = "", components = ""]) => ({
    uri,
    suites: [suite],
    components: words(components),
  }));
}

/** Stanzas of `Types:`, `URIs:`, `Suites:`, `Components:`; a value may go on in lines that begin with a space. */
export function parseDeb822(text: string): readonly Source[] {
  const plain = text.replace(/^#.*\n?/gm, "");
  return plain.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const field = (name: string): readonly string[] =>
      words(new RegExp(`^${name}[ \\t]*:((?:.*)(?:\\n[ \\t].*)*)`, "im").exec(stanza)?.[1] ?? "");
    if (!field("Types").includes("deb") || /^(no|false|off|0)$/i.test(field("Enabled")[0] ?? "")) return [];
    return field("URIs").map((uri) => ({ uri, suites: field("Suites"), components: field("Components") }));
  });
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** apt's proxy settings of the host, which a guest behind the same proxy needs too. */
export type AptProxies = { readonly http: string | undefined; readonly https: string | undefined };

export async function hostProxies(): Promise<AptProxies> {
  if (findProgram("apt-config") === undefined) return { http: undefined, https: undefined };
  const { stdout } = await run("apt-config", ["dump", "--format", "%f %v%n"]);
  const value = (key: string): string | undefined =>
    new RegExp(`^${key} (\\S+)$`, "m").exec(stdout)?.[1]?.replace(/^DIRECT$/i, "") || undefined;
  return { http: value("Acquire::http::Proxy"), https: value("Acquire::https::Proxy") };
}

export type Archive = {
  readonly mirror: string;
  /** The sources that the build and the guest use. */
  readonly sources: readonly Source[];
  /** What could not be had, for the operator. */
  readonly warnings: readonly string[];
};

type Probe = { readonly ok: boolean; readonly reason: string };

/**
 * Chooses the archive: `mirror` if given, else the host's own sources of this distribution in their order, else the
 * default; with its -updates and -security suites where they answer. Only what answers with the right Release file
 * is taken (whose signature apt verifies later). Fails with template.build-failed when none does.
 */
export async function chooseArchive(
  from: DebianLike,
  suite: string,
  mirror: string | undefined,
  proxies: AptProxies,
  host: readonly Source[] = hostSources(),
): Promise<Archive> {
  const own = host.filter(({ components }) => components.includes("main"));
  const mains =
    mirror === undefined
      ? unique([
          ...own.filter(({ suites }) => !suites.some((name) => /[-/]/.test(name))).map(({ uri }) => uri),
          ...own.map(({ uri }) => uri).filter((uri) => uri.endsWith(`/${from.kind}`)),
          from.mirror,
        ])
      : [mirror.replace(/\/+$/, "")];
  const failures: string[] = [];
  for (const uri of mains) {
    const probe = await probeSuite(uri, suite, from.origin, proxies);
    if (probe.ok) return completeArchive(from, suite, uri, own, proxies);
    failures.push(`${uri}: ${probe.reason}`);
  }
  throw new BerthError(
    "template.build-failed",
    `no archive answers for ${from.kind} ${suite}: ${failures.join("; ")}`,
    `check the network and apt's proxy settings, or name a mirror: --mirror ${from.mirror}`,
  );
}

async function completeArchive(
  from: DebianLike,
  suite: string,
  mirror: string,
  own: readonly Source[],
  proxies: AptProxies,
): Promise<Archive> {
  const updates = `${suite}-updates`;
  const security = `${suite}-security`;
  const securityUris = unique([
    ...own.filter(({ suites }) => suites.some((name) => name.endsWith("-security"))).map(({ uri }) => uri),
    ...(from.kind === "debian" ? [`${mirror.replace(/\/debian$/, "")}/debian-security`] : [mirror]),
    from.securityMirror,
  ]);
  const hasUpdates = await probeSuite(mirror, updates, from.origin, proxies);
  let securityUri: string | undefined;
  for (const uri of securityUris) {
    if (!(await probeSuite(uri, security, from.origin, proxies)).ok) continue;
    securityUri = uri;
    break;
  }
  const warnings = [
    ...(hasUpdates.ok ? [] : [`${mirror} has no ${updates} (${hasUpdates.reason}): left out`]),
    ...(securityUri === undefined
      ? [`no archive answers for ${security}: the template gets no security updates`]
      : []),
  ];
  const { components } = from;
  return {
    mirror,
    sources: [
      { uri: mirror, suites: hasUpdates.ok ? [suite, updates] : [suite], components },
      ...(securityUri === undefined ? [] : [{ uri: securityUri, suites: [security], components }]),
    ],
    warnings,
  };
}

/** Whether `uri` serves `suite` of the distribution with that origin. */
async function probeSuite(uri: string, suite: string, origin: string, proxies: AptProxies): Promise<Probe> {
  const url = `${uri}/dists/${suite}/InRelease`;
  const proxy = url.startsWith("https:") ? proxies.https : proxies.http;
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.timeout(20_000),
      ...(proxy === undefined ? {} : { proxy }),
    });
    if (!answer.ok) return { ok: false, reason: `HTTP ${answer.status} for dists/${suite}/InRelease` };
    const head = (await answer.text()).slice(0, 4096);
    if (new RegExp(`^Origin: ${origin}$`, "m").test(head)) return { ok: true, reason: "" };
    return { ok: false, reason: `dists/${suite}/InRelease is not of ${origin}` };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function unique(uris: readonly string[]): readonly string[] {
  return [...new Set(uris)];
}

/** The sources as the guest's /etc/apt/sources.list.d/NAME.sources. */
export function formatDeb822(sources: readonly Source[], keyring: string): string {
  return sources
    .map(
      ({ uri, suites, components }) =>
        `Types: deb\nURIs: ${uri}\nSuites: ${suites.join(" ")}\nComponents: ${components.join(" ")}\nSigned-By: ${keyring}\n`,
    )
    .join("\n");
}

/** The sources as mmdebstrap takes them. */
export function formatOneLine(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ uri, suites, components }) =>
    suites.map((suite) => `deb ${uri} ${suite} ${components.join(" ")}`),
  );
}
