/** Connections that a killed CRIU has left in repair mode. */
import { expect, test } from "bun:test";
import { binaryPath } from "../src/kernel/binaries.ts";
import { run } from "./support/world.ts";

/** A connection to itself in repair mode (TCP_REPAIR is 19); says whether a byte can be sent, before and after a line comes in. */
const held = `use IO::Socket::INET; $| = 1;
$l = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1"); 
$c = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $l->sockport); $s = $l->accept;
setsockopt $c, 6, 19, 1 or die $!;
for (1, 2) { print defined send($c, "x", 0) ? "sent\\n" : "refused\\n"; <STDIN> }`;

/** One of them in a network namespace of its own; `next` sends it a line and reads one. */
function begin() {
  const { pid, stdin, stdout } = Bun.spawn(
    ["unshare", "-n", "/bin/sh", "-c", 'ip link set lo up; exec perl -e "$1"', "sh", held],
    { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
  );
  const reader = stdout.getReader();
  const said = async (): Promise<string> => Buffer.from((await reader.read()).value ?? []).toString();
  const next = async (): Promise<string> => {
    stdin.write("\n");
    await stdin.flush();
    return await said();
  };
  return { pid, said, next, end: () => stdin.end() };
}

const unrepair = async (...words: readonly string[]): Promise<number> =>
  (await run([binaryPath("berth-launch"), "unrepair", ...words])).code;

test("unrepair lets the connections of a network namespace go on, and no others", async () => {
  const [guest, other] = [begin(), begin()];
  expect([await guest.said(), await other.said()]).toEqual(["refused\n", "refused\n"]);
  expect([await unrepair(String(guest.pid)), await unrepair("x")]).toEqual([0, 1]);
  expect([await guest.next(), await other.next()]).toEqual(["sent\n", "refused\n"]);
  await Promise.all([guest.end(), other.end()]);
});
