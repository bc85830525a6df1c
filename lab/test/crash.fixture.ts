/** Makes a host, tells its process and directories, and dies without a chance to clean up. Run by lab.test.ts. */
import { readlinkSync } from "node:fs";
import { dirname } from "node:path";
import { lab } from "../lab.ts";

const host = await lab.host("doomed");
const pid = host.pid();
const argv = (await Bun.file(`/proc/${pid}/cmdline`).text()).split("\0");
const socket = argv.find((word) => word.startsWith("unix:"))?.replace(/^unix:([^,]*).*$/, "$1") ?? "";
const disk = /file=([^,]*)/.exec(argv.find((word) => word.includes("format=qcow2")) ?? "")?.[1] ?? "";
const facts = {
  pid,
  exe: readlinkSync(`/proc/${pid}/exe`),
  socketDir: dirname(socket),
  diskDir: dirname(disk),
};
process.stdout.write(`${JSON.stringify(facts)}\n`);
process.kill(process.pid, "SIGKILL");
