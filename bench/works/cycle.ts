/** One guest's life by command, berth's and the peers' in turns: create, start, exec, info, stop and rm. */
import { type Bench, compiled, limits } from "../bench.ts";
import { LXC_BASE } from "../lxc.ts";
import { ociPeers } from "../oci.ts";
import { stepper } from "../samples.ts";
import { floorArguments } from "./floor.ts";

/** Fills the series of all that is done by command on one guest. */
export async function cycle(bench: Bench): Promise<void> {
  const { samples, sizes, dir, world } = bench;
  const floor = stepper([await compiled(dir, "floor"), ...floorArguments(bench, "cycle")], world.env);
  const peers = ociPeers(bench, LXC_BASE);
  // As on any host in use: berth's bridge goes with the last container, the peers' is there all the time.
  bench.berth("create", "other", "-t", "busybox");
  try {
    for (let round = -1; round < sizes.rounds; round += 1) {
      const add = round < 0 ? () => {} : samples.add; // the first warms the caches
      add("floor", (await floor.step()) / 1000);
      ours(bench, add);
      lxcs(bench, add);
      for (const peer of peers) peer(add);
    }
  } finally {
    bench.berth("rm", "other");
    await floor.end();
  }
}

type Add = (name: string, value: number) => void;

function ours({ berth }: Bench, add: Add): void {
  const options = ["--memory", limits.memory, "--cpus", String(limits.cpus), "--pids", String(limits.pids)];
  add("berth create", berth("create", "one", "-t", "busybox", "--disk", limits.disk, ...options));
  add("berth start", berth("start", "one"));
  add("berth exec", berth("exec", "one", "--", "/bin/true"));
  add("berth info", berth("info", "one"));
  add("berth stop and rm", berth("stop", "--kill", "one") + berth("rm", "one"));
}

function lxcs({ lxc }: Bench, add: Add): void {
  add("lxc-copy -s -B overlay", lxc.run("copy", "-n", "busybox", "-N", "one", "-s", "-B", "overlay"));
  add("lxc-start", lxc.run("start", "-n", "one", "-d"));
  add("lxc-attach", lxc.run("attach", "-n", "one", "--", "/bin/true"));
  add("lxc-info", lxc.run("info", "-n", "one"));
  add("lxc-stop -k and lxc-destroy", lxc.run("stop", "-k", "-n", "one") + lxc.run("destroy", "-n", "one"));
}
