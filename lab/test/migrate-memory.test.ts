/** Memory that goes in passes while the guest works: it stands still for less, and nothing of it is lost. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Host, lab, type Pair } from "../lab.ts";
import { whyNotOnDebian13 } from "./asked.ts";
import { inGuest, json, makeGuest, minutes, mustBeEmpty, pairOnLan } from "./lan-pair.ts";

const why = whyNotOnDebian13;
const checked = test.skipIf(why !== "");

/** 60 MB, of which it writes 4 over and over, 2 a second; when asked by a signal it says how many of them are not as it wrote them. */
const holder = `$n = 60; $size = 1 << 20;
sub content { pack("NN", @_) x ($size / 8) }
for $i (0 .. $n - 1) { $v[$i] = 0; $m[$i] = content($i, 0) }
$SIG{USR1} = sub { $asked = 1 };
sub answer { open $f, ">", "/run/wrong.new"; print $f scalar grep { $m[$_] ne content($_, $v[$_]) } 0 .. $n - 1; close $f;
  rename "/run/wrong.new", "/run/wrong" }
open $f, ">", "/run/ready"; close $f;
for ($k = 0;; $k++) { $i = $k % 4; $v[$i]++; substr $m[$i], 0, $size, content($i, $v[$i]);
  if ($asked) { $asked = 0; answer } select undef, undef, undef, 0.5 }
`;

let pair: Pair;
let h1: Host;
let h2: Host;

beforeAll(async () => {
  if (why !== "") return;
  pair = await pairOnLan("debian-13");
  ({ h1, h2 } = pair);
  await makeGuest(h1, "-t debian-13 --memory 500M");
  await h1.run(["berth", "exec", "web1", "--", "sh", "-c", "cat > /root/holder.pl"], { stdin: holder });
  await inGuest(
    h1,
    "systemd-run -q --unit holder perl /root/holder.pl; until test -e /run/ready; do sleep 0.2; done",
  );
}, 10 * minutes);
afterAll(() => lab.close());

/** How many of its megabytes are not as the process wrote them. */
const wrong = async (host: Host): Promise<string> =>
  await inGuest(
    host,
    "kill -USR1 $(systemctl show -P MainPID holder); until test -e /run/wrong; do sleep 0.2; done; cat /run/wrong; rm /run/wrong",
  );

type Moved = {
  readonly standStill: number;
  readonly stages: readonly { readonly stage: string; readonly milliseconds: number }[];
};

async function move(from: Host, to: Host, options: string): Promise<Moved> {
  const { stdout } = await from.run(`berth migrate web1 root@${to.name} ${options} --json`, {
    timeout: 12 * minutes,
  });
  const moved = JSON.parse(stdout) as Moved;
  const stages = moved.stages.map(
    ({ stage, milliseconds }) => `${stage} ${(milliseconds / 1000).toFixed(1)} s`,
  );
  const still = (moved.standStill / 1000).toFixed(1);
  process.stderr.write(`  ${from.name} to ${to.name}: stood still for ${still} s; ${stages.join(", ")}\n`);
  return moved;
}

const passesOf = ({ stages }: Moved): number =>
  stages.filter(({ stage }) => /^sending its memory, pass \d+ \(/.test(stage)).length;

describe("memory in passes", () => {
  checked(
    `${why}when berth is killed in one, the guest works on and nothing is left`,
    async () => {
      const { pid } = await json<{ pid: number }>(h1, "info web1");
      let said = "";
      const reached = Promise.withResolvers<void>();
      const going = h1.open("exec berth migrate web1 root@h2", undefined, (data) => {
        said += Buffer.from(data).toString();
        if (said.includes("sending its memory, pass 1")) reached.resolve();
      });
      await Promise.race([reached.promise, going.exited]);
      await h1.run("sleep 3; pkill -9 -f 'berth[^ ]* migrate web1'");
      await going.exited;
      await h1.run("until berth migrate web1 root@h2 --dry-run; do sleep 1; done");
      expect(await json<{ pid: number }>(h1, "info web1")).toMatchObject({ state: "running", pid });
      expect((await h1.run("ls /var/lib/berth/containers/web1")).stdout).not.toContain("checkpoint");
      expect(await wrong(h1)).toBe("0");
      await h2.run("while pgrep -f '[m]igrate-receive'; do sleep 1; done");
      await mustBeEmpty(h2);
    },
    10 * minutes,
  );

  checked(
    `${why}a guest stands still for less than half as long as without, and has in memory what it wrote`,
    async () => {
      const without = await move(h1, h2, "--no-precopy");
      expect(await wrong(h2)).toBe("0");
      await mustBeEmpty(h1);
      // One that was brought back before, too.
      const withPasses = await move(h2, h1, "");
      expect(await wrong(h1)).toBe("0");
      await mustBeEmpty(h2);
      expect([passesOf(withPasses) > 1, passesOf(without)]).toEqual([true, 0]);
      expect(withPasses.standStill).toBeLessThan(without.standStill / 2);
    },
    26 * minutes,
  );
});
