/** A connection from the LAN to a guest: a service there counts, and we look that no number is missing or doubled. */
import { expect } from "bun:test";
import { until } from "./world.ts";

/** Perl that sends a count to whoever connects. */
export const streamServer = `$s = IO::Socket::INET->new(Listen => 5, LocalPort => 7000, ReuseAddr => 1);
while ($c = $s->accept) { $c->autoflush(1); for ($n = 0; print $c "$n\\n"; $n++) { select undef, undef, undef, 0.02 } }`;

/** Prints how far the count has come; says so when anything is missing or doubled, and ends. */
const follower = `$| = 1; $s = IO::Socket::INET->new(PeerAddr => shift, PeerPort => 7000) or die "no connection";
for ($n = 0; <$s>; print "$n\\n") { chomp; $_ == $n++ or last } print "fault\\n"`;

export type Stream = AsyncDisposable & {
  /** Fails when it stands still for half a minute, or anything came wrong. */
  readonly goesOn: () => Promise<void>;
  readonly end: () => Promise<void>;
};

/** Connects from where `within` runs programs. */
export async function followStream(within: readonly string[], address: string): Promise<Stream> {
  const child = Bun.spawn([...within, "perl", "-MIO::Socket::INET", "-e", follower, address], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let last = "0";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) last = decoder.decode(chunk).trimEnd().split("\n").at(-1) ?? last;
  })();
  const goesOn = async (): Promise<void> => {
    const from = last;
    await until("the stream to go on", () => last === "fault" || Number(last) > Number(from) + 10, 30_000);
    expect(last).not.toBe("fault");
  };
  const end = async (): Promise<void> => {
    child.kill();
    await reading;
  };
  return { goesOn, end, [Symbol.asyncDispose]: end };
}
