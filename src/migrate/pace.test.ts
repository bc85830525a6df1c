import { expect, test } from "bun:test";
import { paced } from "./pace.ts";

test("what is sent takes the time that its bound gives it, all of it comes, and without a bound none is taken", async () => {
  let slept = 0;
  const got: Uint8Array[] = [];
  const pace = paced(
    async (bytes) => void got.push(bytes.slice()),
    async (milliseconds) => {
      slept += milliseconds;
    },
  );
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const large = Buffer.concat(Array.from({ length: 20 }, () => bytes));
  await pace.write(large);
  expect([slept, got.length]).toEqual([0, 1]);
  pace.limit(600_000);
  await pace.write(large);
  expect(Math.round(slept)).toBe(2000);
  expect(Buffer.concat(got).equals(Buffer.concat([large, large]))).toBe(true);
  pace.limit(undefined);
  await pace.write(large);
  expect(Math.round(slept)).toBe(2000);
});
