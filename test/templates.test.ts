/** Templates by command: what is collected, what stays. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { berthBinary, newWorld, run, type World } from "./support/world.ts";

type Collected = { readonly removed: boolean; readonly templates: readonly { readonly digest: string }[] };

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(() => world.end());

test("gc removes a template once its name and its last container are gone", async () => {
  await world.ok("template", "build", "busybox", "--name", "t-box");
  const { digest, rootfs } = await world.json<{ digest: string; rootfs: string }>(
    "template",
    "info",
    "t-box",
  );
  await world.ok("create", "box", "--template", "t-box", "--network", "none");
  // A name moves on when another tree is built under it; here its file goes, as an operator's `rm` would do it.
  await Bun.file(`${world.at.lib}/templates/names/t-box`).delete();
  expect((await world.json<Collected>("template", "gc")).templates).toEqual([]);
  expect(existsSync(rootfs)).toBe(true);

  await world.ok("rm", "--force", "box");
  const planned = await world.json<Collected>("template", "gc", "--dry-run");
  expect(planned).toMatchObject({ removed: false, templates: [{ digest, name: "t-box" }] });
  expect(existsSync(rootfs)).toBe(true);

  expect(await world.ok("template", "gc")).toContain(`${digest.slice(0, 12)} (was t-box`);
  expect(existsSync(rootfs)).toBe(false);
  expect(await world.ok("template", "gc")).toBe("every template has a name or a container");
});

test("gc is completed and helped", async () => {
  expect(await world.ok("template", "gc", "--help")).toContain("--dry-run");
  expect(await world.ok("__complete", "bash", "template", "g")).toContain("gc");
});

test("an exported template is a tar that holds the same tree", async () => {
  await world.ok("template", "build", "busybox", "--name", "t-out");
  const { digest, rootfs } = await world.json<{ digest: string; rootfs: string }>(
    "template",
    "info",
    "t-out",
  );
  const file = `${world.root}/out.tar`;
  expect(await world.json("template", "export", "t-out", file)).toMatchObject({ digest, file });
  const piped = `"$0" template export t-out - | cmp - "$1"`;
  expect(await run(["sh", "-c", piped, berthBinary, file], { env: world.env })).toMatchObject({ code: 0 });
  const same = ["tar", "--compare", "--numeric-owner", "-f", file, "-C", rootfs];
  const compared = await run(same);
  // The top directory's time is not the tree's.
  expect(compared.stdout.replace("./: Mod time differs\n", "").replace(".: Mod time differs\n", "")).toBe("");
  const refused = await world.berth("template", "export", "t-out", `${file}.gz`);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("| gzip >");
  await world.ok("template", "rm", "t-out");
});
