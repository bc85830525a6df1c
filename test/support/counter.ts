/** A connection that shows whether a guest missed something: a service in it counts, and we follow. */

/** A service that sends a count to whoever connects, and a timer that appends to a file. */
export const counter = `[Service]
ExecStart=/usr/bin/perl -MIO::Socket::INET -e '$$s = IO::Socket::INET->new(Listen => 5, LocalPort => 7000, ReuseAddr => 1); while ($$c = $$s->accept) { $$c->autoflush(1); for ($$n = 0; print $$c "$$n\\\\n"; $$n++) { select undef, undef, undef, 0.05 } }'
`;
const PATIENCE_MS = 10_000;

/** A service has started before it listens. */
async function connect(options: Bun.TCPSocketConnectOptions<undefined>): Promise<Bun.Socket> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await Bun.sleep(20))
    try {
      return await Bun.connect(options);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
}

/** Reads the count and checks that nothing is missing or doubled. */
export async function follow(address: string) {
  let [next, text, fault] = [0, "", ""];
  const socket = await connect({
    hostname: address,
    port: 7000,
    socket: {
      data: (_, data) => {
        const lines = (text + data.toString()).split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) if (Number(line) !== next++) fault ||= `${line} instead of ${next - 1}`;
      },
      close: () => {
        fault ||= "closed";
      },
      error: (_, error) => {
        fault ||= error.message;
      },
    },
  });
  return { count: () => next, fault: () => fault, end: () => socket.end() };
}
