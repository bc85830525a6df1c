/** What a lab host gets to run berth's own tests: the programs as just built, Bun, the tests, and the templates. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileCrasher } from "../test/support/world.ts";
import { command } from "./command.ts";
import type { Host } from "./host.ts";
import { projectDir as project } from "./paths.ts";

const usualTemplates = ["busybox", "debian-12", "debian-13"];

/** Makes the directory anew and returns its path. The templates must have been built (`needTemplates` in test/support). */
export async function berthPayload(
  templateCache: string,
  templateNames: readonly string[] = usualTemplates,
): Promise<string> {
  const dir = join(project, ".cache/payload");
  rmSync(dir, { recursive: true, force: true });
  const templates = join(dir, "templates/var/lib/templates");
  mkdirSync(join(templates, "names"), { recursive: true });
  for (const part of ["dist", "test", "src", "package.json", "tsconfig.json"])
    cpSync(join(project, part), join(dir, part), { recursive: true, preserveTimestamps: true });
  cpSync(process.execPath, join(dir, "bun"));
  await compileCrasher(join(dir, "test/support/crasher"));
  for (const name of templateNames) {
    const digest = readFileSync(join(templateCache, "var/lib/templates/names", name), "utf8").trim();
    writeFileSync(join(templates, "names", name), `${digest}\n`);
    // cp knows owners, modes and extended attributes of files whose names are bytes.
    await command([
      "cp",
      "-a",
      "--reflink=auto",
      join(templateCache, "var/lib/templates", digest),
      `${templates}/`,
    ]);
  }
  return dir;
}

/** Makes berth of the payload the host's own, with the payload's templates. */
export async function giveBerth(host: Host): Promise<void> {
  await host.run(
    "mkdir -p /var/lib/berth && ln -s /payload/templates/var/lib/templates /var/lib/berth/templates && ln -s /payload/dist/berth /usr/local/bin/berth",
  );
}
