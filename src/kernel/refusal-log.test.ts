import { expect, test } from "bun:test";
import { parseRefusal } from "./refusal-log.ts";

test("a refused call, of the kernel's log and of auditd's", () => {
  const text =
    'audit(1795501026.788:45): auid=4294967295 uid=268435456 gid=268435456 ses=4294967295 subj=unconfined pid=123 comm="my prog" exe="/usr/bin/x" sig=0 arch=c000003e syscall=321 compat=0 ip=0x7f code=0x50001';
  const wanted = {
    kind: "seccomp",
    time: 1795501026788,
    pid: 123,
    comm: "my prog",
    uid: 268435456,
    arch: 0xc000003e,
    syscall: 321,
  } as const;
  expect(parseRefusal(`audit: type=1326 ${text}`)).toEqual(wanted);
  expect(parseRefusal(`type=SECCOMP msg=${text}`)).toEqual(wanted);
});

test("a denial by AppArmor; names with odd bytes come as hex", () => {
  const line =
    'audit: type=1400 audit(1795501026.788:46): apparmor="DENIED" operation="open" class="file" profile="berth-1" name=2F0A pid=9 comm="sh" requested_mask="wc" denied_mask="w" fsuid=0 ouid=0';
  expect(parseRefusal(line)).toEqual({
    kind: "apparmor",
    time: 1795501026788,
    pid: 9,
    comm: "sh",
    profile: "berth-1",
    operation: "open",
    object: "/\n",
    denied: "w",
  });
  expect(parseRefusal(line.replace("DENIED", "STATUS"))).toBeUndefined();
  expect(parseRefusal("eth0: link up")).toBeUndefined();
});
