import { beforeAll, describe, expect, test } from "bun:test";
import {
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import fc from "fast-check";
import { asBerthError } from "../../base/errors.ts";
import { silent } from "../../base/progress.ts";
import { testDirectory } from "../../base/test-directory.ts";
import { isRoot } from "../testing.ts";
import { type Manifest, newManifest, parseManifest } from "./backup-manifest.ts";
import { backupPolicy } from "./backup-policy.ts";
import { withBackup } from "./backup-reader.ts";
import { sealing } from "./backup-seal.ts";
import { splitTrees } from "./backup-trees.ts";
import { configName, manifestName, startBackup, upperPrefix } from "./backup-writer.ts";
import { memberHeader, padding, plainHeader } from "./tar-block.ts";
import { unpack } from "./unpack.ts";

/** BERTH_FUZZ_RUNS asks for a longer run. */
const numRuns = Number(process.env.BERTH_FUZZ_RUNS ?? 150);
const noLimits = { size: Infinity, space: Infinity, entries: Infinity };

const manifest: Manifest = newManifest({
  ...{ kind: "upper", name: "web1", uuid: "5c2aab9e-4c7f-4b7e-9d0c-3b7f5e0d1a11", running: false },
  ...{ created: "2026-11-24T06:15:00.000Z", privileged: false, architecture: "amd64", storage: "plain" },
  template: {
    ...{ name: "busybox", digest: "a".repeat(64), distribution: "busybox", release: "1", haltSignal: 12 },
  },
  ...{ layers: 0, baseUid: 300_000, mac: "0a:00:00:00:00:01", address: "10.62.0.2/16", berth: "0.1.0" },
});

describe.skipIf(!isRoot)("a backup that somebody has changed", () => {
  const root = testDirectory("storage");
  const file = `${root}/b.tar`;
  let whole: Buffer;
  beforeAll(async () => {
    const source = `${root}/source`;
    mkdirSync(`${source}/dir`, { recursive: true });
    writeFileSync(`${source}/dir/file`, "x".repeat(700));
    linkSync(`${source}/dir/file`, `${source}/second`);
    symlinkSync("/etc", `${source}/link`);
    for (const path of ["", "dir", "dir/file"]) chownSync(`${source}/${path}`, 300_000, 300_000);
    const parts: Buffer[] = [];
    const write = async (bytes: Uint8Array): Promise<void> => {
      parts.push(Buffer.from(bytes));
    };
    const options = { onBytes: () => {}, signal: silent.signal };
    const writer = await startBackup(write, manifest, "template: busybox\n", options);
    await writer.tree({ prefix: upperPrefix, path: source, baseUid: 300_000 });
    await writer.end();
    whole = Buffer.concat(parts);
  });

  /** Reads and unpacks it below `into`; gives the error's code, or undefined. */
  async function restore(bytes: Uint8Array, into: string): Promise<string | undefined> {
    writeFileSync(file, bytes);
    mkdirSync(into, { recursive: true });
    try {
      return await withBackup(file, silent, async (backup) => {
        const trees = splitTrees(backup.trees());
        await unpack(trees.at(upperPrefix), into, backupPolicy(300_000, true), noLimits);
        await trees.end();
        return undefined;
      });
    } catch (error) {
      return asBerthError(error).code;
    }
  }

  test("as it was it is unpacked", async () => {
    expect(await restore(whole, `${root}/good`)).toBeUndefined();
    expect(readdirSync(`${root}/good`).sort()).toEqual(["dir", "link", "second"]);
    expect(readFileSync(`${root}/good/second`, "utf8")).toBe("x".repeat(700));
  });

  test("is refused before anything is unpacked, whatever was done to it", async () => {
    const change = fc.record({
      at: fc.nat(whole.length - 1),
      remove: fc.nat(1024),
      insert: fc.uint8Array({ maxLength: 600 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        let bytes = Buffer.from(whole);
        for (const { at, remove, insert } of changes)
          bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
        if (bytes.equals(whole)) return;
        expect(await restore(bytes, `${root}/bad`)).toBeOneOf(["archive.damaged", "archive.refused"]);
        expect(readdirSync(`${root}/bad`)).toEqual([]);
      }),
      { numRuns },
    );
  });

  /** A seal proves that nothing broke, not who made it. */
  test("with a seal of its own is refused or unpacked, and never leaves its place", async () => {
    const name = fc.constantFrom(
      "upper/a",
      "upper/../x",
      "upper//etc/x",
      "rootfs/x",
      "/upper/x",
      "upper/link/x",
      "upper/",
    );
    const member = fc.record({ name, type: fc.constantFrom("0", "1", "2", "3", "5", "6"), link: name });
    await fc.assert(
      fc.asyncProperty(fc.array(member, { minLength: 1, maxLength: 5 }), async (members) => {
        const parts: Buffer[] = [];
        const sealed = sealing(async (bytes) => {
          parts.push(Buffer.from(bytes));
        });
        for (const [path, text] of [
          [manifestName, JSON.stringify(manifest)],
          [configName, "template: busybox\n"],
        ] as const) {
          const body = Buffer.from(text);
          await sealed.write(
            memberHeader({ ...plainHeader, name: Buffer.from(path), type: "0", size: body.length }),
          );
          await sealed.write(Buffer.concat([body, Buffer.alloc(padding(body.length))]));
        }
        for (const { name: path, type, link } of members)
          await sealed.write(
            memberHeader({ ...plainHeader, name: Buffer.from(path), type, link: Buffer.from(link) }),
          );
        await sealed.end();
        const before = readdirSync(root).sort();
        const into = `${root}/made/${parts.length}-${Math.random()}`;
        expect(await restore(Buffer.concat(parts), into)).toBeOneOf([undefined, "archive.refused"]);
        expect(readdirSync(root).sort()).toEqual([...new Set([...before, "made"])].sort());
      }),
      { numRuns },
    );
  });

  test("any manifest is taken as it is or refused by name", () => {
    const keys = Object.keys(manifest);
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
        const text = JSON.stringify({ ...manifest, [key]: value });
        try {
          expect(parseManifest(text, "f")).toEqual(JSON.parse(text));
        } catch (error) {
          expect(asBerthError(error)).toMatchObject({ code: "archive.refused" });
        }
      }),
      { numRuns: 500 },
    );
    expect(() => parseManifest(JSON.stringify({ ...manifest, version: 2 }), "f")).toThrow(
      "f is a backup in format 2",
    );
    expect(() => parseManifest("{", "f")).toThrow("the manifest of f is wrong");
  });
});
