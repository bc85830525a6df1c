import { expect, test } from "bun:test";
import { complaintOf, passing } from "./log.ts";

const log = `(00.120000) Warn  (criu/kerndat.c:1): something
(00.150000)   Error (criu/proc_parse.c:2170): parse_fdinfo_pid_s: error parsing [inotify wd:4b ino:2f sdev:1c mask:2 ignored_mask:0 ]: Not a directory
(00.151000) Error (criu/fsnotify.c:310): fsnotify: nothing came of it
`;

test("CRIU's complaint is told in words, with what it says itself", () => {
  const { what, cure } = complaintOf(log.split("\n").slice(0, 2).join("\n"));
  expect(what).toStartWith("a file that is watched has just been removed: parse_fdinfo_pid_s");
  expect(cure).toBe("try again");
});

test("what is over a moment later is known by CRIU's words", () => {
  expect(passing.test(complaintOf(log).what)).toBe(true);
  expect(passing.test(complaintOf("(00.1) Error (x.c:1): Can't dump that handle").what)).toBe(false);
});

test("where CRIU says nothing, what failed around it is told", () => {
  expect(complaintOf("(00.1) Warn  (x.c:1): well", "berth-launch ended")).toEqual({
    what: "berth-launch ended",
    cure: "",
  });
});
