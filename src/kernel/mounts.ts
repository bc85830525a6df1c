/** The mount table of this process, and taking mounts out of it. */
import { readFileSync } from "node:fs";
import { cstring, errno, libc, ptr } from "./libc.ts";

/** Not through a symbolic link at the end (umount2(2)). */
const UMOUNT_NOFOLLOW = 8;

/** The host's mount table as text (proc_pid_mountinfo(5)): read once by whoever asks for many sources. */
export const mountTable = (): string => readFileSync("/proc/self/mountinfo", "utf8");

/** Where file systems with this source are mounted, in the order in which they were. */
export function mountPointsOf(source: string, table = mountTable()): readonly string[] {
  // Most tables hold nothing of it, and need not be taken apart.
  return table.includes(` ${source} `) ? parseMountPoints(table, source) : [];
}

/** The mount points in a mountinfo whose file system has this source. */
export function parseMountPoints(mountinfo: string, source: string): readonly string[] {
  return mountinfo.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    // Optional fields end with a dash; type and source follow.
    const dash = fields.indexOf("-", 6);
    const point = fields[4];
    return dash > 0 && point !== undefined && fields[dash + 2] === source ? [plain(point)] : [];
  });
}

/** Space, tab, newline and backslash stand there as three octal digits. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Unmounts what is mounted there last; the errno when the kernel refuses. */
export function unmount(path: string): number | undefined {
  const name = cstring(path);
  return libc().umount2(ptr(name), UMOUNT_NOFOLLOW) === 0 ? undefined : errno();
}
