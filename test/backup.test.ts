/** Backups: what comes back is what was there, anything that is not whole is refused, and nothing is left on the way. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { sha256 } from "../src/base/digest.ts";
import type { BerthError } from "../src/base/errors.ts";
import { silent } from "../src/base/progress.ts";
import { checkBackup } from "../src/container/restore.ts";
import { setXattr, xattrsOf } from "../src/kernel/xattr.ts";
import { type IdMap, mapXattr, toGuest } from "../src/storage/archive/guest-attributes.ts";
import { type TreeEntry, treeEntries } from "../src/storage/archive/tree-entries.ts";
import { smallDisk } from "../src/storage/testing.ts";
import { killedAfter } from "./support/soak.ts";
import {
  berthBinary,
  type Info,
  keepers,
  leftovers,
  newWorld,
  run,
  until,
  type World,
} from "./support/world.ts";

let world: World;
let out: string;
beforeAll(async () => {
  world = await newWorld("busybox", "debian-13");
  ownTemplates(`${world.at.lib}/templates`);
  out = `${world.root}/out`;
  mkdirSync(out);
});
afterAll(() => world.end());
afterEach(async () => {
  await world.ok("rm", "--force", "--all");
  for (const file of readdirSync(out)) rmSync(`${out}/${file}`, { recursive: true });
});

/** What restoring adds to the templates is this world's: another one's `template gc` knows nothing of its containers. */
function ownTemplates(dir: string): void {
  const shared = readlinkSync(dir);
  rmSync(dir);
  mkdirSync(dir);
  cpSync(`${shared}/names`, `${dir}/names`, { recursive: true });
  for (const digest of readdirSync(shared).filter((entry) => /^[0-9a-f]{64}$/.test(entry)))
    symlinkSync(`${shared}/${digest}`, `${dir}/${digest}`);
}

const create = async (name: string, storage = "image", ...more: readonly string[]) =>
  await world.ok(
    "create",
    name,
    "-t",
    "busybox",
    "--storage",
    storage,
    "--disk",
    "64M",
    "--network",
    "none",
    ...more,
  );

/** What is mounted, or written at each start. */
const notItsOwn = /^(proc|sys|dev|run|tmp|etc\/(hostname|hosts|resolv\.conf|machine-id))$/;

/** Everything that a running guest sees of its files, times and all, with its own ids. */
async function tree(name: string): Promise<readonly string[]> {
  const { pid, baseUid } = await world.json<Info>("info", name);
  return linesOf(`/proc/${pid}/root`, baseUid);
}

function linesOf(root: string, baseUid: number): readonly string[] {
  const leaveOut = ({ relative, stat }: TreeEntry): boolean =>
    stat.isSocket() || notItsOwn.test(relative.toString("latin1"));
  const lines: string[] = [];
  for (const entry of treeEntries(root, leaveOut)) lines.push(describeEntry(entry, toGuest(baseUid)));
  return lines;
}

function describeEntry({ path, relative, stat }: TreeEntry, map: IdMap): string {
  const xattrs = xattrsOf(path).flatMap((xattr) => mapXattr(xattr, map, false) ?? []);
  const name = relative.toString("latin1");
  return [
    ...[name, Number(stat.mode).toString(8), name === "" || name === "etc" ? "" : stat.mtimeNs],
    ...[map(Number(stat.uid)), map(Number(stat.gid))],
    stat.isDirectory() ? "" : `${stat.nlink} ${stat.size}`,
    stat.isFile() ? sha256(readFileSync(path).toString("latin1")) : "",
    stat.isSymbolicLink() ? readlinkSync(path, "latin1") : "",
    ...xattrs.map((xattr) => `${xattr.name}=${xattr.value.toString("hex")}`),
  ].join(" ");
}

/** Copied up, removed, opaque, renamed and linked: all that an upper directory can hold. */
const changeMuch = async (name: string, word: string): Promise<string> =>
  await world.sh(
    name,
    `mkdir -p /srv/a/b /etc/x && echo ${word} > /srv/a/b/file && ln -sf ../a/b/file /srv/link && ln -f /srv/a/b/file /srv/hard
     rm -rf /usr/share && mkdir -p /usr/share && echo ${word} > /usr/share/only
     mv /etc /etc.moved && mv /etc.moved /etc && rm -f /bin/vi && chmod 4755 /srv/hard && chown 1000:65535 /srv/link
     [ -e /srv/hole ] || dd if=/dev/zero of=/srv/hole bs=1 count=1 seek=1M 2>/dev/null
     mkfifo /srv/fifo 2>/dev/null; touch -d @1234567 /srv/hole; echo ${word} > /etc/${word}; sync`,
  );

/** What busybox has no program for: a capability and an ACL, as a guest's root would set them. */
async function setAttributes(name: string): Promise<void> {
  const { pid, baseUid } = await world.json<Info>("info", name);
  const root = `/proc/${pid}/root`;
  const capability = Buffer.alloc(24);
  capability.writeUInt32LE(0x03000001, 0);
  capability.writeUInt32LE(0x2000, 4);
  capability.writeUInt32LE(baseUid, 20);
  setXattr(`${root}/srv/hard`, { name: Buffer.from("security.capability"), value: capability });
  const entries = "01000700ffffffff020005000000000004000500ffffffff10000700ffffffff20000500ffffffff";
  const acl = Buffer.from(`02000000${entries}`, "hex");
  acl.writeUInt32LE(baseUid + 7, 16);
  setXattr(`${root}/srv/a`, { name: Buffer.from("system.posix_acl_default"), value: acl });
  setXattr(`${root}/srv/a`, { name: Buffer.from("user.word"), value: Buffer.from("\0\xff", "latin1") });
}

for (const storage of ["image", "plain"])
  test(`what comes back from ${storage} are the very same files`, async () => {
    await create("a", storage, "--memory", "48M", "--start");
    await changeMuch("a", "first");
    await setAttributes("a");
    await world.ok("stop", "--kill", "a");
    await world.ok("snapshot", "create", "a", "s");
    await world.ok("start", "a");
    await changeMuch("a", "second");
    await world.sh("a", "rm /etc/first; mv /srv/a /srv/c; echo more >> /srv/c/b/file; rm -rf /usr/share");
    const before = await tree("a");
    expect(before.length).toBeGreaterThan(300);
    const running = storage === "image" ? "whole" : "upper";
    await world.ok("backup", "a", `${out}/${running}.tar.zst`, ...optionsOf(running));
    await world.ok("stop", "--kill", "a");
    const stopped = running === "whole" ? "upper" : "whole";
    await world.ok("backup", "a", `${out}/${stopped}.tar`, ...optionsOf(stopped));
    expect(readdirSync(out).sort()).toEqual([`${running}.tar.zst`, `${stopped}.tar`].sort());
    expect(statSync(`${out}/${stopped}.tar`).mode & 0o777).toBe(0o600);
    await unpackByTar(`${out}/whole.tar${running === "whole" ? ".zst" : ""}`);
    expect(linesOf(`${out}/unpacked/rootfs`, 0)).toEqual(before);
    for (const file of [`${running}.tar.zst`, `${stopped}.tar`]) {
      await world.ok("restore", `${out}/${file}`, "b");
      await world.ok("start", "b");
      expect(await tree("b")).toEqual(before);
      expect(
        await world.sh("b", "hostname; cat /srv/hard /srv/c/b/file /etc/second; ls /usr; du -k /srv/hole"),
      ).toBe("b\nsecond\nmore\nsecond\nmore\nsecond\nbin\nlocal\nsbin\n4\t/srv/hole");
      const [a, b] = [await world.json<Info>("info", "a"), await world.json<Info>("info", "b")];
      expect(b).toMatchObject({ limits: { memory: 48 * 2 ** 20 }, storage });
      for (const key of ["baseUid", "uuid"] as const) expect(a[key]).not.toBe(b[key]);
      await world.ok("rm", "--force", "b");
    }
  });

/** As somebody without berth would. */
async function unpackByTar(file: string): Promise<void> {
  mkdirSync(`${out}/unpacked`);
  const options = ["--xattrs", "--xattrs-include=*", "--numeric-owner"];
  const { code, stderr } = await run(["tar", ...options, "-xpf", file, "-C", `${out}/unpacked`]);
  if (code !== 0) throw new Error(stderr);
}

const optionsOf = (kind: string): readonly string[] => (kind === "upper" ? ["--upper"] : []);

test("a guest that writes all the time is caught in one moment, and runs on", async () => {
  await create("a", "image", "--start");
  // The second file is always written after the first, and a file of lines only ever grows by renames.
  await world.sh(
    "a",
    "cd /root; (i=0; while [ $i -lt 100000 ]; do i=$((i+1)); { cat lines; echo $i; } > new; mv new lines; echo $i > 1.new; mv 1.new 1; done) >/dev/null 2>&1 &",
  );
  const made = await world.json<{ frozenMilliseconds: number; kind: string }>(
    "backup",
    "a",
    `${out}/a.tar.gz`,
  );
  expect(made.kind).toBe("whole");
  expect(made.frozenMilliseconds).toBeGreaterThan(0);
  const later = Number(await world.sh("a", "cat /root/1"));
  await world.ok("restore", `${out}/a.tar.gz`, "b", "--start");
  const lines = (await world.sh("b", "cat /root/lines")).split("\n").map(Number);
  expect(lines).toEqual(lines.map((_, index) => index + 1));
  expect(lines.length - Number(await world.sh("b", "cat /root/1"))).toBeOneOf([0, 1]);
  expect(lines.length).toBeLessThanOrEqual(later + 1);
  expect(Number(await world.sh("a", "cat /root/1"))).toBeGreaterThan(later);
});

test("a Debian guest that runs comes back and boots", async () => {
  await world.ok("create", "a", "-t", "debian-13", "--disk", "1G", "--start");
  await world.sh(
    "a",
    "useradd -m -u 1500 op; apt-mark auto passwd >/dev/null; echo word > /home/op/word; chown op: /home/op/word",
  );
  await world.ok("backup", "a", `${out}/a.tar.zst`);
  const a = await world.json<Info>("info", "a");
  await world.ok("rm", "--force", "a");
  const { address } = await world.json<{ address: string }>("restore", `${out}/a.tar.zst`, "--start");
  expect(address).not.toBe(a.address);
  await world.booted("a");
  expect(
    await world.sh("a", "stat -c '%U %u' /home/op/word; su op -c 'cat ~/word'; cat /etc/machine-id"),
  ).toBe(`op 1500\nword\n${(await world.json<Info>("info", "a")).uuid.replaceAll("-", "")}`);
  // Its init has its own word for halt.
  await world.ok("stop", "a");
});

test("the same one again, or another one", async () => {
  await create("a", "plain", "--network", "bridge", "--hostname", "own", "--ctid", "77");
  const a = await world.json<Info>("info", "a");
  await world.ok("backup", "a", `${out}/a.tar`);
  await world.ok("restore", `${out}/a.tar`, "other");
  expect(await world.ok("config", "show", "other")).not.toMatch(/own|77/);
  const twin = await world.berth("restore", `${out}/a.tar`, "b", "--same-identity");
  expect(twin.stderr).toContain(`container a has the identity ${a.uuid} already`);
  expect(twin.code).toBe(4);
  await world.ok("rm", "a");
  await world.ok("restore", `${out}/a.tar`, "--same-identity");
  const again = await world.json<Info>("info", "77");
  expect([again.uuid, again.address, again.baseUid]).toEqual([a.uuid, a.address, a.baseUid]);
});

test("a file that is cut short or altered anywhere is refused, and nothing is left", async () => {
  await create("a", "plain");
  await world.ok("backup", "a", `${out}/a.tar.zst`);
  await world.ok("backup", "a", `${out}/a.tar`);
  await world.ok("rm", "a");
  const refused = /is cut short|was altered|damaged|no archive|is empty|cannot be unpacked/;
  const damage = async (round: number): Promise<void> => {
    const bytes = readFileSync(`${out}/${round % 2 === 0 ? "a.tar" : "a.tar.zst"}`);
    const at = Math.floor(Math.random() * bytes.length);
    const changed = Buffer.from(bytes.subarray(0, round < 20 ? at : bytes.length));
    if (round >= 20) changed[at] = (bytes[at] ?? 0) ^ (1 << (round % 8));
    const file = `${out}/damaged-${round}`;
    writeFileSync(file, changed);
    // Some by the command, which makes nothing; the others by what it asks.
    const said =
      round % 8 === 0
        ? (await world.berth("restore", file, `d${round}`)).stderr
        : await checkBackup(file, silent).then(
            () => "whole",
            (error: BerthError) => error.message,
          );
    if (!refused.test(said)) throw new Error(`byte ${at} of round ${round}: ${said}`);
    rmSync(file);
  };
  for (let round = 0; round < 40; round += 1) await damage(round);
  await checkBackup(`${out}/a.tar.zst`, silent);
  expect(leftovers(world.at)).toEqual([]);
});

test("whatever is killed leaves nothing: no part of a file, no layer, no container", async () => {
  await create("a", "image", "--start");
  await changeMuch("a", "word");
  await world.ok("backup", "a", `${out}/good.tar`);
  let killed = 0;
  for (let round = 0; round < 8; round += 1) {
    killed += Number(await killedAfter(world, ["backup", "a", `${out}/b.tar`], 40 * (round + 1)));
    rmSync(`${out}/b.tar`, { force: true });
    killed += Number(await killedAfter(world, ["restore", `${out}/good.tar`, "b"], 40 * (round + 1)));
    if ((await world.ok("ls", "--names")).split("\n").includes("b")) await world.ok("rm", "b");
  }
  expect(killed).toBeGreaterThan(8);
  expect((await world.json<Info>("info", "a")).state).toBe("running");
  expect(readdirSync(out)).toEqual(["good.tar"]);
  expect(readdirSync(`${world.at.lib}/pool/image`).filter((file) => file.startsWith("layer-"))).toEqual([]);
  await world.ok("rm", "--force", "a");
  await until("its keeper to be gone", () => keepers(world.at).length === 0);
  expect(leftovers(world.at)).toEqual([]);
});

test("all of them, the last ones of each; one that fails does not stop the others", async () => {
  for (const name of ["a", "b", "c"]) await create(name, "plain");
  writeFileSync(`${world.at.lib}/containers/b/config.yaml`, "template: [");
  writeFileSync(`${out}/a-20200101-000000.tar.zst`, "old");
  writeFileSync(`${out}/a-20200102-000000.tar.zst`, "older than today");
  writeFileSync(`${out}/b-20200101-000000.tar.zst`, "the only one of b");
  const all = await world.berth("backup", "--all", "--to", out, "--keep", "2", "--json");
  expect(all.code).toBe(6);
  const results = JSON.parse(all.stdout) as readonly {
    name: string;
    ok: boolean;
    result?: { removed: string[] };
  }[];
  expect(results.map(({ name, ok }) => [name, ok])).toEqual([
    ["a", true],
    ["b", false],
    ["c", true],
  ]);
  expect(results[0]?.result?.removed).toEqual(["a-20200101-000000.tar.zst"]);
  const files = readdirSync(out).sort();
  expect(files.filter((file) => file.startsWith("a-"))).toHaveLength(2);
  expect(files).toContain("b-20200101-000000.tar.zst");
  const [made = ""] = files.filter((file) => file.startsWith("c-"));
  expect(made).toMatch(/^c-\d{8}-\d{6}\.tar\.zst$/);
  const checked = await world.json<{ manifest: { name: string; kind: string } }>(
    "restore",
    `${out}/${made}`,
    "--check",
  );
  expect(checked.manifest).toMatchObject({ name: "c", kind: "whole" });
});

test("a full disk is said, and what was there before is as it was", async () => {
  await create("a", "image", "--start");
  await world.sh("a", "dd if=/dev/urandom of=/root/big bs=1M count=32 2>/dev/null");
  const small = `${world.root}/small`;
  const unmount = await smallDisk(small, 4 << 20);
  try {
    for (const name of ["a.tar.zst", "a.tar"]) {
      writeFileSync(`${small}/${name}`, "before");
      const full = await world.berth("backup", "a", `${small}/${name}`, "--replace");
      expect(full.stderr).toContain("no space left");
      expect(full.code).toBe(9);
      expect(readFileSync(`${small}/${name}`, "utf8")).toBe("before");
    }
    expect(readdirSync(small).sort()).toEqual(["a.tar", "a.tar.zst"]);
  } finally {
    await unmount();
  }
  await world.ok("backup", "a", `${out}/a.tar`);
  const tight = await world.berth("restore", `${out}/a.tar`, "b", "--disk", "32M");
  expect(tight.code).toBe(9);
  expect(tight.stderr).toContain("--disk");
  expect(await world.ok("ls", "--names")).toBe("a");
});

test("by pipes, and what cannot be done is said", async () => {
  await create("a", "plain", "--hostname", "own");
  const piped = await run(
    ["sh", "-c", `${berthBinary} backup a - --compress xz | ${berthBinary} restore - b`],
    { env: world.env },
  );
  expect(piped).toMatchObject({ code: 0 });
  expect(await world.ok("config", "show", "b")).not.toContain("own");
  const refusal = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await world.berth(...args);
    return `${code} ${stderr}`;
  };
  await world.ok("backup", "a", `${out}/a.tar`, "--upper");
  expect(await refusal("backup", "a", `${out}/a.tar`)).toContain("4 berth: ");
  expect(await refusal("backup", "a", `${out}/a`)).toContain("--compress");
  expect(await refusal("backup", "a", "--all", "--to", out)).toContain("exclude each other");
  expect(await refusal("backup", "a")).toContain("FILE is missing");
  expect(await refusal("backup", "a", `${out}/no/a.tar`)).toContain("no such file or directory");
  expect(await refusal("restore", `${out}/a.tar`)).toContain("there is a container a already");
  expect(await refusal("restore", `${out}/a.tar`, "c", "--memory", "1")).toContain("memory");
  // Mounts are of the host that it was made on.
  await world.ok("set", "a", "--mount", `${out}:/srv/out`);
  await world.ok("backup", "a", `${out}/m.tar`);
  const mounted = await world.berth("restore", `${out}/m.tar`, "m");
  expect(mounted.stderr).toContain(`while it mounts ${out}`);
  expect(await world.ok("config", "show", "m")).toContain("/srv/out");
  await world.ok("rm", "m");
  await world.ok("restore", `${out}/m.tar`, "m", "--without-mounts");
  expect(await world.ok("config", "show", "m")).not.toContain("/srv/out");
  expect(await refusal("restore", out, "c")).toContain("no regular file");
  const plain = await run([
    "tar",
    "-cf",
    `${out}/root.tar`,
    "-C",
    "/",
    "etc/hostname",
    "etc/passwd",
    "etc/group",
    "etc/fstab",
    "etc/hosts",
  ]);
  expect(plain.code).toBe(0);
  expect(await refusal("restore", `${out}/root.tar`, "c")).toContain("berth template import");
  // The template that lies below an upper backup may be gone.
  const elsewhere = await newWorld();
  try {
    const { code, stderr } = await elsewhere.berth("restore", `${out}/a.tar`);
    expect(code).toBe(3);
    expect(stderr).toContain("berth template export");
    expect(existsSync(`${elsewhere.at.lib}/containers/a`)).toBe(false);
  } finally {
    await elsewhere.end();
  }
});
