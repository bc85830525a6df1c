/**
 * Stands between the two sides of a migration and cuts the line at a chosen message of the source:
 *
 *   bun cut-line.ts TYPE before|after COMMAND...
 *
 * before: the message is not passed on. after: it is, and no answer comes back. TYPE "nothing" passes all on.
 */

import { writingTo } from "../../src/migrate/channel.ts";
import { frameHead, readFrame } from "../../src/migrate/frames.ts";
import { byteReader } from "../../src/storage/archive/byte-reader.ts";

const [type = "", when = "", ...command] = process.argv.slice(2);
const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
const reader = byteReader(Bun.stdin.stream());
let silent = false;

const back = (async () => {
  const write = writingTo(1);
  for await (const chunk of child.stdout) if (!silent) await write(chunk).catch(() => {});
})();

for (let frame = await readFrame(reader); frame !== undefined; frame = await readFrame(reader)) {
  const body = frame.kind === "end" ? new Uint8Array() : frame.body;
  const hit =
    frame.kind === "message" && (JSON.parse(Buffer.from(body).toString()) as { type: string }).type === type;
  if (hit) silent = true;
  if (hit && when === "before") break;
  child.stdin.write(Buffer.concat([frameHead(frame.kind, body.length), body]));
  await child.stdin.flush();
  if (hit) {
    await Bun.sleep(300); // it carries out what it heard
    break;
  }
}
await child.stdin.end();
await child.exited;
silent = true;
await back;
process.exit(1);
