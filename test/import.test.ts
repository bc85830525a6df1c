/** Importing templates by command: what comes out, what is refused, what is left when it is refused or killed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tarOf } from "../src/storage/archive/testing.ts";
import {
  berthBinary,
  needTemplates,
  newWorld,
  type Result,
  run,
  templateCache,
  until,
  type World,
} from "./support/world.ts";

type Made = {
  readonly digest: string;
  readonly rootfs: string;
  readonly distribution: string;
  readonly origin: Readonly<Record<string, string>>;
};

let world: World;
let file: string;
beforeAll(async () => {
  world = await newWorld();
  file = `${world.root}/box.tar`;
  await world.ok("template", "build", "busybox", "--name", "box");
  await world.ok("template", "export", "box", file);
});
afterAll(() => world.end());

const sh = async (line: string, ...args: readonly string[]): Promise<Result> =>
  await run(["sh", "-ec", line, "sh", ...args], { env: world.env });
const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
const info = (name: string): Promise<Made> => world.json<Made>("template", "info", name);

/** Names in the templates directory but for the templates themselves: what a failed import may not leave. */
function remainders(): readonly string[] {
  return readdirSync(`${world.at.lib}/templates`).filter((name) => name.startsWith("."));
}

async function refused(...args: readonly string[]): Promise<Result> {
  const result = await world.berth("template", "import", ...args);
  expect(result.code).not.toBe(0);
  expect(remainders()).toEqual([]);
  expect(await world.ok("template", "ls")).not.toContain(args[0] ?? "");
  return result;
}

test("what was exported comes back as the very same tree, however it is packed", async () => {
  const { digest, rootfs } = await info("box");
  await sh(`xz -0k "$1"; zstd -q "$1"`, file);
  for (const packed of [`${file}.xz`, `${file}.zst`, rootfs])
    expect(
      await world.json("template", "import", "t-again", packed, "--replace", "--no-polish"),
    ).toMatchObject({
      digest,
      names: ["box", "t-again"],
    });
  const piped = `gzip -c "$1" | "$2" template import t-piped - --no-polish`;
  expect(await sh(piped, file, berthBinary)).toMatchObject({ code: 0 });
  const { names } = await world.json<{ names: readonly string[] }>("template", "info", digest);
  expect(names).toEqual(["box", "t-again", "t-piped"]);
  expect(remainders()).toEqual([]);
  await world.ok("template", "rm", "t-again", "t-piped");
});

const lacks = (program: string): boolean => Bun.which(program) === null;

test.skipIf(lacks("tar2sqfs"))("so does a squashfs image (SKIP: without squashfs-tools-ng)", async () => {
  await sh(`tar2sqfs -q "$1.sqfs" < "$1"`, file);
  const { digest } = await info("box");
  expect(await world.json("template", "import", "t-squash", `${file}.sqfs`, "--no-polish")).toMatchObject({
    digest,
  });
  await sh(`head -c 100000 "$1.sqfs" > "$1.cut"`, file);
  expect((await refused("t-cut", `${file}.cut`)).stderr).toContain("sqfs2tar");
  await world.ok("template", "rm", "t-squash");
});

test("a polished one boots as a guest, and says where it came from", async () => {
  await world.ok("template", "import", "t-box", file, "--sha256", sha256(file).toUpperCase());
  expect((await info("t-box")).origin).toEqual({ source: file, format: "tar", sha256: sha256(file) });
  expect(await world.ok("template", "info", "t-box")).toContain(`${file} (tar)`);
  expect(await world.ok("template", "ls")).toMatch(/t-box .* box\.tar/);
  await world.ok("create", "web", "--template", "t-box", "--network", "none");
  await world.ok("start", "web");
  expect(await world.sh("web", "hostname")).toBe("web");
  await world.ok("rm", "--force", "web");
  await world.ok("template", "rm", "t-box");
});

test("a Debian tree boots to running", async () => {
  await needTemplates("debian-13");
  const packed = `${world.root}/debian.tar.zst`;
  const line = `BERTH_ROOT="$1" "$2" template export debian-13 - | zstd -q1 > "$3"`;
  expect(await sh(line, templateCache, berthBinary, packed)).toMatchObject({ code: 0 });
  await world.ok("template", "import", "t-debian", packed);
  expect(await info("t-debian")).toMatchObject({
    distribution: "debian",
    release: "13",
    arch: architecture(),
  });
  await world.ok("create", "deb", "--template", "t-debian", "--network", "none");
  await world.ok("start", "deb");
  await world.booted("deb");
  await world.ok("rm", "--force", "deb");
  await world.ok("template", "rm", "t-debian");
});

test("Incus images, in one file and in two; their templates are not used (CVE-2026-23954)", async () => {
  const image = `${world.root}/image`;
  mkdirSync(`${image}/templates`, { recursive: true });
  writeFileSync(`${image}/metadata.yaml`, metadata(process.arch === "x64" ? "x86_64" : "aarch64"));
  symlinkSync("/etc", `${image}/templates/etc`);
  const { digest } = await info("box");
  await sh(
    `cd "$1"; tar -cJf meta.tar.xz metadata.yaml templates; mkdir rootfs; tar -xpf "$2" -C rootfs; tar --numeric-owner -cJf one.tar.xz metadata.yaml templates rootfs`,
    image,
    file,
  );
  const one = await world.json<Made>("template", "import", "t-one", `${image}/one.tar.xz`, "--no-polish");
  expect(one.digest).toBe(digest);
  const fingerprint = createHash("sha256")
    .update(readFileSync(`${image}/meta.tar.xz`))
    .update(readFileSync(file));
  const two = await world.json<Made>(
    ...([
      "template",
      "import",
      "t-two",
      file,
      "--metadata",
      `${image}/meta.tar.xz`,
      "--format",
      "incus",
    ] as const),
    ...["--sha256", fingerprint.digest("hex")],
  );
  expect(two.origin).toMatchObject({
    format: "tar, Incus image",
    description: "a test",
    created: "2025-11-24T16:00:00.000Z",
  });
  await world.ok("template", "rm", "t-one", "t-two");
  writeFileSync(`${image}/metadata.yaml`, metadata("s390x"));
  await sh(`cd "$1"; tar -cf other.tar metadata.yaml`, image);
  const other = await refused("t-other", file, "--metadata", `${image}/other.tar`);
  expect(other.stderr).toContain('for "s390x"');
});

const metadata = (arch: string): string =>
  `architecture: ${arch}\ncreation_date: 1764000000\nproperties: {description: a test}\ntemplates:\n  /etc/../../../../tmp/t-out: {template: ../../../etc/passwd}\n`;
const architecture = (): string => (process.arch === "x64" ? "amd64" : "arm64");

test("nothing is unpacked whose checksum is not right", async () => {
  const wrong = await refused("t-wrong", file, "--sha256", "0".repeat(64));
  expect(wrong.stderr).toContain(`its sha256 is ${sha256(file)}`);
});

test.skipIf(lacks("gpg"))("nor whose signature is not right (SKIP: without gnupg, which signs)", async () => {
  const home = `${world.root}/gpg`;
  mkdirSync(home, { mode: 0o700 });
  const key = await sh(
    `export GNUPGHOME="$1"; gpg -q --batch --passphrase '' --quick-gen-key t@example.org ed25519 sign never; gpg --export > "$1/keys"; gpg -q --detach-sign -o "$1/sig" "$2"; gpgconf --kill all`,
    home,
    file,
  );
  expect(key.code).toBe(0);
  const signed = ["--signature", `${home}/sig`, "--keyring", `${home}/keys`] as const;
  const made = await world.json<Made>("template", "import", "t-signed", file, ...signed);
  expect(made.origin.signedBy).toMatch(/^[0-9A-F]{40}$/);
  await world.ok("template", "rm", "t-signed");
  const altered = `${world.root}/altered.tar`;
  await sh(`cp "$1" "$2"; printf x >> "$2"`, file, altered);
  expect((await refused("t-altered", altered, ...signed)).stderr).toContain("BAD signature");
});

test("a hostile archive is refused, and leaves nothing", async () => {
  const outside = `${world.root}/outside`;
  mkdirSync(outside);
  const archive = `${world.root}/hostile.tar`;
  const root = { name: "etc/", type: "5" };
  for (const [members, words] of [
    [[root, { name: "../../../../outside/x", content: "x" }], '".."'],
    [[root, { name: "l", type: "2", link: outside }, { name: "l/x", content: "x" }], "is a link or a file"],
    [[root, { name: "p", type: "1", link: "/etc/shadow" }], "no such file before it"],
    [
      [
        { name: "rootfs/", type: "5" },
        { name: "rootfs", type: "2", link: "/" },
      ],
      "symbolic link",
    ],
    [
      [
        root,
        { name: "big", content: "x", pax: { "GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999999999" } },
      ],
      "64G",
    ],
  ] as const) {
    writeFileSync(archive, tarOf(...members));
    const { code, stderr } = await refused("t-hostile", archive);
    expect(code).toBe(1);
    expect(stderr).toContain(words);
  }
  expect(readdirSync(outside)).toEqual([]);
  const bomb = `${world.root}/bomb.gz`;
  writeFileSync(archive, tarOf({ name: "zeros", size: 2 ** 33 - 1, content: "x" }));
  await sh(`gzip -c "$1" > "$2"`, archive, bomb);
  expect((await refused("t-bomb", bomb, "--max-size", "100M")).stderr).toContain("larger than 100M");
  writeFileSync(archive, tarOf(root));
  await sh(`{ cat "$1"; head -c 80M /dev/zero; } | gzip -1 > "$2"`, archive, bomb);
  expect((await refused("t-bomb", bomb)).stderr).toContain("64 MiB follow its end mark");
  expect((await refused("t-many", file, "--max-entries", "10")).stderr).toContain("more than 10 entries");
});

test("bad words are refused with what to do", async () => {
  for (const [args, code, words] of [
    [["t-x", `${world.root}/no`], 1, "no such file"],
    [["box", file], 4, "--replace"],
    [["Bad Name", file], 2, "cannot be a template's name"],
    [["t-x", file, "--sha256", "abc"], 2, "64 hexadecimal digits"],
    [["t-x", file, "--signature", file], 2, "--keyring"],
    [["t-x", world.root, "--sha256", "0".repeat(64)], 2, "is a directory"],
    [["t-x", file, "--format", "directory"], 2, "is no directory"],
    [["t-x", "/"], 2, "berth's own templates"],
    [["t-x", "/dev/null"], 2, "neither a file nor a directory"],
    [["t-x", "/etc/passwd"], 1, "no archive that berth reads"],
  ] as const) {
    const result = await world.berth("template", "import", ...args);
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(words)]);
  }
  expect(remainders()).toEqual([]);
  expect(await world.ok("__complete", "bash", "template", "imp")).toContain("import");
});

test.each(["SIGKILL", "SIGINT"] as const)(
  "%s: nothing is left that the next one does not remove",
  async (signal) => {
    const fifo = `${world.root}/fifo-${signal}`;
    await sh(`mkfifo "$1"`, fifo);
    // A pipe that stays open: it waits for the rest.
    const pipe = openSync(fifo, "r+");
    writeSync(pipe, readFileSync(file).subarray(0, 60_000));
    const child = Bun.spawn([berthBinary, "template", "import", "t-ended", "-"], {
      env: world.env,
      stdio: [pipe, "ignore", "ignore"],
    });
    const read = (): number =>
      Number(/^rchar: (\d+)/.exec(readFileSync(`/proc/${child.pid}/io`, "utf8"))?.[1]);
    await until("its staging directory", () => remainders().some((name) => name.endsWith(".json")));
    await until("the archive to be read", () => read() > 60_000);
    child.kill(signal);
    await until("it to be gone", () => child.exitCode !== null || child.signalCode !== null, 20_000);
    closeSync(pipe);
    expect(remainders().length > 0).toBe(signal === "SIGKILL");
    await world.ok("template", "import", "t-next", file, "--replace");
    expect(remainders()).toEqual([]);
    expect(await world.ok("template", "ls")).not.toContain("t-ended");
    await world.ok("template", "rm", "t-next");
  },
);
