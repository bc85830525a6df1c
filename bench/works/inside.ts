/** The same loads in a guest and beside it. */
import { mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { berthBinary, run, until } from "../../test/support/world.ts";
import { type Bench, compiled } from "../bench.ts";

type Place = { readonly name: string; readonly argv: (...load: readonly string[]) => readonly string[] };

/** Fills the "guest …", "image …", "plain …", "host …" and "bare namespace …" series. */
export async function inside(bench: Bench): Promise<void> {
  const program = await compiled(bench.dir, "inside");
  const files = `${bench.dir}/files`;
  mkdirSync(files);
  const host: Place = { name: "host", argv: (...load) => [program, ...load] };
  const guest = (storage: string): Place => ({
    name: storage,
    argv: (...load) => [berthBinary, "exec", `in-${storage}`, "--", "/inside", ...load],
  });
  for (const storage of ["image", "plain"]) {
    bench.berth("create", `in-${storage}`, "-t", "busybox", "--storage", storage, "--start");
    bench.berth("cp", program, `in-${storage}:/inside`);
  }
  try {
    const image = guest("image");
    for (let round = 0; round < bench.sizes.few * 3; round += 1) {
      for (const load of ["cpu", "fork"]) {
        await measure(bench, host, load, []);
        await measure(bench, { ...image, name: "guest" }, load, []);
      }
      for (const load of ["create", "read", "fsync"]) {
        await measure(bench, host, load, [files]);
        await measure(bench, image, load, ["/srv"]);
        if (load === "fsync") await measure(bench, guest("plain"), load, ["/srv"]);
      }
    }
    await network(bench, program, { ...image, name: "guest" });
  } finally {
    for (const storage of ["image", "plain"]) bench.berth("rm", "--force", `in-${storage}`);
  }
}

async function measure(
  { samples, sizes, world }: Bench,
  { name, argv }: Place,
  load: string,
  words: readonly string[],
): Promise<void> {
  const { code, stdout, stderr } = await run(argv(load, ...words, String(sizes.load)), { env: world.env });
  if (code !== 0) throw new Error(`${load} in ${name}: ${stderr}`);
  samples.add(`${name} ${load}`, Number(stdout));
}

const PORT = "7007";

async function network(bench: Bench, program: string, guest: Place): Promise<void> {
  const gateway = `${subnet(bench)}.0.1`;
  const server = Bun.spawn([program, "serve", gateway, PORT], { stdout: "pipe" });
  await server.stdout.getReader().read();
  const bare = await bareNamespace(bench, program);
  try {
    for (let round = 0; round < bench.sizes.few * 3; round += 1)
      for (const load of ["latency", "throughput"])
        for (const place of [guest, bare]) await measure(bench, place, load, [gateway, PORT]);
  } finally {
    bare.end();
    server.kill();
  }
}

const subnet = ({ world }: Bench): string =>
  readFileSync(`${world.at.lib}/subnet`, "utf8").split(".").slice(0, 2).join(".");

/** A network namespace on berth's bridge that is nothing else: what the kernel's veth costs by itself. */
async function bareNamespace(bench: Bench, program: string): Promise<Place & { readonly end: () => void }> {
  const holder = Bun.spawn(["unshare", "-n", "sleep", "infinity"]);
  const inner = ["nsenter", "-t", String(holder.pid), "-n"];
  const netns = (pid: string | number): string => readlinkSync(`/proc/${pid}/ns/net`);
  try {
    await until("a network namespace", () => netns(holder.pid) !== netns("self"));
    const link = "t-bench-in";
    bench.timed(
      "ip",
      "link",
      "add",
      link,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      String(holder.pid),
    );
    bench.timed("ip", "link", "set", link, "master", bench.world.at.bridge, "up");
    bench.timed(...inner, "ip", "link", "set", "eth0", "up");
    bench.timed(...inner, "ip", "addr", "add", `${subnet(bench)}.255.3/16`, "dev", "eth0");
  } catch (error) {
    holder.kill();
    throw error;
  }
  return {
    name: "bare namespace",
    argv: (...load) => [...inner, program, ...load],
    end: () => holder.kill(),
  };
}
