/** A TCP connection that never rests: a byte a millisecond, each answered, and how long no answer came. */

const PORT = 7007;

/** A shell line that serves it as a unit of the guest's systemd. */
export const echoServer = `systemd-run --expand-environment=no --unit echo perl -MIO::Socket::INET -MSocket=:all -e '
$s = IO::Socket::INET->new(Listen => 5, LocalPort => ${PORT}, ReuseAddr => 1);
while ($c = $s->accept) { setsockopt $c, IPPROTO_TCP, TCP_NODELAY, 1; syswrite $c, $b while sysread $c, $b, 4096 }'`;

/** On each line of stdin it tells the longest gap in milliseconds since the last one. */
const client = `$| = 1; $s = IO::Socket::INET->new(PeerAddr => shift, PeerPort => ${PORT}) or die "no connection";
setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1; $s->blocking(0); $last = time; $longest = 0;
for (;;) {
  syswrite $s, "x"; $in = ""; vec($in, fileno $s, 1) = vec($in, 0, 1) = 1; select $in, undef, undef, 0.001;
  if (vec $in, fileno $s, 1) {
    $n = sysread $s, $b, 4096; next if !defined $n && $!{EAGAIN};
    if (!$n) { print "ended: $!\\n"; last } $now = time;
    $longest = $now - $last if $now - $last > $longest; $last = $now
  }
  if (vec $in, 0, 1) { sysread STDIN, $b, 4096 or last; printf "%.1f\\n", 1000 * $longest; $longest = 0 }
  select undef, undef, undef, 0.001
}`;

const SETTLE_MS = 1000;

export type Echo = AsyncDisposable & {
  /** Waits until it runs undisturbed, and counts from then on. */
  readonly settle: () => Promise<void>;
  /** Milliseconds. Throws when the connection broke. */
  readonly longestGap: () => Promise<number>;
};

/** Connects from where `within` runs a program. */
export async function openEcho(within: readonly string[], address: string): Promise<Echo> {
  const modules = ["-MIO::Socket::INET", "-MSocket=:all", "-MTime::HiRes=time"];
  const child = Bun.spawn([...within, "perl", ...modules, "-e", client, address], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const answers = child.stdout.getReader();
  const longestGap = async (): Promise<number> => {
    // What comes last is to be seen too.
    await Bun.sleep(SETTLE_MS);
    child.stdin.write("\n");
    await child.stdin.flush();
    const { value } = await answers.read();
    const said = Buffer.from(value ?? [])
      .toString()
      .trim();
    const gap = Number(said);
    if (said === "" || Number.isNaN(gap)) throw new Error(`the client's connection broke: ${said}`);
    return gap;
  };
  return {
    longestGap,
    settle: async () => void (await longestGap()),
    [Symbol.asyncDispose]: async () => {
      await Promise.resolve(child.stdin.end()).catch(() => {});
      await child.exited;
    },
  };
}
