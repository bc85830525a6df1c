/**
 * A backup's last member is the sha256 of every byte before it. All that follows is known from that: whoever has the hash
 * of a stream but for its last bytes knows what these must be, and a single bit that differs anywhere shows.
 */
import { BerthError } from "../../base/errors.ts";
import { endOfArchive, memberHeader, padding, plainHeader } from "./tar-block.ts";
import type { Write } from "./tar-writer.ts";

export const sealName = "berth/SHA256";

/** The last member and the end of the archive. */
function sealOf(sha256: string): Buffer {
  const body = Buffer.from(`${sha256}\n`);
  const header = memberHeader({ ...plainHeader, name: Buffer.from(sealName), type: "0", size: body.length });
  return Buffer.concat([header, body, Buffer.alloc(padding(body.length)), endOfArchive]);
}

const SEAL_LENGTH = sealOf("0".repeat(64)).length;

export type Sealing = {
  /** Takes the bytes of the archive. */
  readonly write: Write;
  /** Ends the archive; gives the hash. */
  readonly end: () => Promise<string>;
};

/** Hashes what is written by `write`. */
export function sealing(write: Write): Sealing {
  const hash = new Bun.CryptoHasher("sha256");
  return {
    write: async (bytes) => {
      hash.update(bytes);
      await write(bytes);
    },
    end: async () => {
      const sha256 = hash.digest("hex");
      await write(sealOf(sha256));
      return sha256;
    },
  };
}

export type SealCheck = {
  /** The same bytes. */
  readonly chunks: AsyncGenerator<Uint8Array>;
  /** Once they have been read to their end: the hash. Fails with archive.damaged. */
  readonly verdict: () => string;
};

/** Looks at a stream as it passes. */
export function sealCheck(chunks: AsyncIterable<Uint8Array>, file: string): SealCheck {
  const hash = new Bun.CryptoHasher("sha256");
  let tail = Buffer.alloc(0);
  async function* passing(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      // What may be the seal is held back from the hash.
      if (chunk.length >= SEAL_LENGTH) {
        hash.update(tail);
        hash.update(chunk.subarray(0, chunk.length - SEAL_LENGTH));
        tail = Buffer.from(chunk.subarray(chunk.length - SEAL_LENGTH));
      } else {
        const both = Buffer.concat([tail, chunk]);
        const kept = Math.max(0, both.length - SEAL_LENGTH);
        hash.update(both.subarray(0, kept));
        tail = both.subarray(kept);
      }
      yield chunk;
    }
  }
  return {
    chunks: passing(),
    verdict: () => {
      const sha256 = hash.digest("hex");
      if (tail.equals(sealOf(sha256))) return sha256;
      throw new BerthError(
        "archive.damaged",
        `${file} is cut short or was altered: its checksum is not that of what it holds`,
        "take another copy of it, or an older backup; nothing was restored",
      );
    },
  };
}
