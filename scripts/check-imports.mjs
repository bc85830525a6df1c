/**
 * The rooms of src/ and who may import whom. Arrows point down only; docs/design.md tells why. Run by lint; as a
 * module it exports `violations` for its test.
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { filesBelow, root } from "./project.mjs";

const container = ["launch", "storage", "network", "resources", "config", "kernel", "base"];
const checkpoint = ["container", ...container];
const everything = ["migrate", "checkpoint", "import", "audit", ...checkpoint];

/** A room and the rooms it may import besides itself. Longer names win: "cli/framework" is not "cli". */
export const rooms = {
  cli: ["cli/commands", "cli/framework", "daemon", "api", ...everything],
  "cli/commands": ["cli", "cli/framework", "daemon", "api", ...everything],
  "cli/framework": ["kernel", "base"],
  daemon: ["api", ...everything],
  api: everything,
  web: ["api"],
  migrate: ["checkpoint", ...checkpoint],
  checkpoint,
  import: ["config", "storage", "base"],
  audit: checkpoint,
  container,
  launch: ["config", "kernel", "base"],
  storage: ["config", "kernel", "base"],
  network: ["config", "kernel", "base"],
  resources: ["config", "kernel", "base"],
  kernel: ["base"],
  config: ["base"],
  base: [],
};

/** Files outside src/ that may be imported, and by which room. */
const outside = { "package.json": "base" };

const ownModules = /^(node:|bun(:|$))/;

/** The room of a path relative to src/, or undefined. */
export function roomOf(path) {
  return Object.keys(rooms)
    .filter((room) => path.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/** Specifiers of every import and re-export in a source text, with their lines. */
export function importsOf(source) {
  // Comments become spaces, so that lines keep their numbers and examples in docstrings do not count.
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, (text) => text.replace(/[^\n]/g, " "));
  const pattern = /(?<![.\w])(?:from|import|import\s*\()\s*["']([^"'\n]+)["']/g;
  return [...code.matchAll(pattern)].map((match) => ({
    specifier: match[1],
    line: code.slice(0, match.index).split("\n").length,
  }));
}

/**
 * What is wrong in one file: `path` relative to src/, `packages` the npm packages it may use.
 * Each as "src/x.ts:3: ...".
 */
export function violations(path, source, packages) {
  const room = roomOf(path);
  if (room === undefined) return [`src/${path}: lies in no room of scripts/check-imports.mjs`];
  return importsOf(source).flatMap(({ specifier, line }) => {
    const fault = faultOf(path, room, specifier, packages);
    return fault === undefined ? [] : [`src/${path}:${line}: ${fault}`];
  });
}

function faultOf(path, room, specifier, packages) {
  if (!specifier.startsWith(".")) {
    if (ownModules.test(specifier) || packages.includes(specifier)) return undefined;
    return `imports the package "${specifier}", which package.json does not give it`;
  }
  const target = relative("/src", resolve("/src", dirname(path), specifier));
  if (target.startsWith("..")) {
    const name = target.slice(3);
    return outside[name] === room ? undefined : `imports ${name} from outside src/`;
  }
  const other = roomOf(target);
  if (other === undefined) return `imports ${target}, which lies in no room`;
  if (other === room || rooms[room].includes(other)) return undefined;
  return `${room}/ must not import ${other}/ (${specifier})`;
}

/** Checks the tree; returns the violations and how many files were read. */
export function checkTree(directory = join(root, "src")) {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const shipped = Object.keys(manifest.dependencies ?? {});
  const all = [...shipped, ...Object.keys(manifest.devDependencies ?? {})];
  const files = filesBelow(directory, (path) => /\.tsx?$/.test(path));
  const faults = files.flatMap((file) => {
    const path = relative(directory, file);
    return violations(path, readFileSync(file, "utf8"), path.endsWith(".test.ts") ? all : shipped);
  });
  return { faults, files: files.length };
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { faults, files } = checkTree();
  for (const fault of faults) console.error(fault);
  console.error(`imports: ${files} files, ${faults.length} violations`);
  process.exit(faults.length === 0 ? 0 : 1);
}
