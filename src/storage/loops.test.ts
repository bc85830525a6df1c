import { expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync } from "node:fs";
import { bindLoop } from "../kernel/loop.ts";
import { loopOf, waitForLoop } from "./loops.ts";

test.skipIf(process.getuid?.() !== 0)(
  "a loop device goes with whoever has it open, also when that is killed",
  async () => {
    const dir = mkdtempSync("/tmp/t-loop-");
    const file = `${dir}/image`;
    closeSync(openSync(file, "w"));
    truncateSync(file, 1 << 20);
    try {
      const { device, fd } = await bindLoop(file, true);
      expect(`/dev/${loopOf(file)}`).toBe(device);
      closeSync(fd);
      expect(await waitForLoop(file)).toBeUndefined();
      const code = `import { bindLoop } from ${JSON.stringify(`${import.meta.dir}/../kernel/loop.ts`)}; await bindLoop(${JSON.stringify(file)}, false); process.kill(process.pid, "SIGKILL");`;
      const child = Bun.spawn([process.execPath, "-e", code], { stdio: ["ignore", "ignore", "inherit"] });
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      expect(await waitForLoop(file)).toBeUndefined();
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);
