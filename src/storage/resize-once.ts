/** A resize in a process of its own, for image.test.ts to kill. Arguments: root, volume, bytes. */
import { imageDriver } from "./image.ts";
import { useRoot } from "./testing.ts";

const [root, id, bytes] = process.argv.slice(2);
if (root === undefined || id === undefined) throw new Error("usage: resize-once ROOT VOLUME BYTES");
useRoot(root);
await imageDriver.resize(id, { bytes: Number(bytes), inodes: undefined });
