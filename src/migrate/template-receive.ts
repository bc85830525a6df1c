/** Taking a template from another host: by the rules of an import, and only if it is the very tree that was announced. */
import { BerthError } from "../base/errors.ts";
import { readTar } from "../storage/archive/tar-reader.ts";
import { unpack } from "../storage/archive/unpack.ts";
import { templatePolicy } from "../storage/archive/unpack-policy.ts";
import { publishUnnamed } from "../storage/build.ts";
import { openStaging, sweepBuilds } from "../storage/staging.ts";
import { checkTemplateName, nameTemplate, templateNames } from "../storage/templates.ts";
import type { Offer } from "./messages.ts";

/** A template has been looked at for room already; this stops one that never ends. */
const LARGER = 2;
const MOST_ENTRIES = 5_000_000;

/** Publishes the tree of an archive. It gets the name that it has there, if nothing has that here. */
export async function receiveTemplate(
  chunks: AsyncIterable<Uint8Array>,
  { template, manifest }: Offer,
): Promise<void> {
  await sweepBuilds();
  const staging = openStaging();
  const most = template.size * LARGER + (64 << 20);
  try {
    await unpack(readTar(chunks), staging.rootfs, templatePolicy(), {
      size: most,
      space: most,
      entries: MOST_ENTRIES,
    });
    const { size: _, ...facts } = template;
    const { digest } = await publishUnnamed(staging, facts);
    if (digest !== manifest.template.digest)
      throw new BerthError(
        "archive.damaged",
        `template ${template.name} came as ${digest.slice(0, 12)}, not as ${manifest.template.digest.slice(0, 12)}`,
        "`berth template gc` there removes it; export and import it by hand",
      );
    checkTemplateName(template.name);
    if (!templateNames().has(template.name)) nameTemplate(template.name, digest);
  } finally {
    await staging.discard();
  }
}
