/** The Debian mirror that this machine already uses. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const defaultMirror = "http://deb.debian.org/debian";
const debianSuite = /^(stable|oldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky)$/;

interface Source {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/** The URI of the first apt source of a Debian release's main component, else deb.debian.org. */
export function debianMirror(aptDir = "/etc/apt"): string {
  const isDebian = (source: Source): boolean =>
    source.components.includes("main") && source.suites.some((suite) => debianSuite.test(suite));
  return aptSources(aptDir).find(isDebian)?.uri ?? defaultMirror;
}

function aptSources(aptDir: string): readonly Source[] {
  const partsDir = join(aptDir, "sources.list.d");
  const parts = existsSync(partsDir) ? readdirSync(partsDir).sort() : [];
  const files = [join(aptDir, "sources.list"), ...parts.map((part) => join(partsDir, part))];
  return files.filter((file) => existsSync(file)).flatMap((file) => parse(file, readFileSync(file, "utf8")));
}

function parse(file: string, text: string): readonly Source[] {
  return file.endsWith(".sources") ? parseDeb822(text) : parseOneLine(text);
}

/** `deb [options] URI SUITE COMPONENT...`, see sources.list(5). */
function parseOneLine(text: string): readonly Source[] {
  const lines = text.matchAll(/^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#\n]*)/gm);
  return [...lines].map(([, uri = "", suite = "", components = ""]) => ({
    uri,
    suites: [suite],
    components: components.trim().split(/\s+/),
  }));
}

/** Stanzas of `Types:`, `URIs:`, `Suites:`, `Components:`, see sources.list(5). */
function parseDeb822(text: string): readonly Source[] {
  return text
    .split(/\n\s*\n/)
    .map(
      (stanza) =>
        (key: string): readonly string[] =>
          new RegExp(`^${key}:(.*)$`, "m").exec(stanza)?.[1]?.trim().split(/\s+/) ?? [],
    )
    .filter((words) => words("Types").includes("deb") && words("Enabled")[0] !== "no")
    .flatMap((words) =>
      words("URIs")
        .slice(0, 1)
        .map((uri) => ({ uri, suites: words("Suites"), components: words("Components") })),
    );
}
