import { describe, expect, test } from "bun:test";
import { BerthError } from "../base/errors.ts";
import { changeConfig, parseContainerConfig } from "./parse.ts";

const mountsOf = (yaml: string) => parseContainerConfig(`template: d\n${yaml}`, "web1.yaml").value.mounts;

const fault = (yaml: string): string => {
  try {
    mountsOf(yaml);
  } catch (error) {
    if (error instanceof BerthError && error.code === "config.invalid") return error.message;
    throw error;
  }
  throw new Error(`accepted: ${yaml}`);
};

describe("both forms say the same", () => {
  test("short", () => {
    expect(mountsOf('mounts: ["/srv/data:/data:ro,idmap", pictures:/srv/pictures/]')).toEqual([
      { source: "/srv/data", target: "/data", options: ["ro", "idmap"] },
      { source: "pictures", target: "/srv/pictures", options: [] },
    ]);
  });
  test("long, with a colon in a path", () => {
    expect(
      mountsOf("mounts:\n  - {source: /srv/a:b, target: /data, options: [ro]}\n  - {source: /c, target: /d}"),
    ).toEqual([
      { source: "/srv/a:b", target: "/data", options: ["ro"] },
      { source: "/c", target: "/d", options: [] },
    ]);
  });
  test("none when absent", () => expect(mountsOf("")).toEqual([]));
});

describe("faults name line, column, the mount and the cure", () => {
  const cases: readonly [yaml: string, message: string | RegExp][] = [
    [
      "mounts:\n  - /srv:/x\n  - /srv\n",
      /^web1\.yaml:4:5: mounts\.1: "\/srv": it is not a mount; write SOURCE/,
    ],
    ["mounts:\n  - 3\n", /^web1\.yaml:3:5: mounts\.0: 3: it is not a mount/],
    [
      "mounts:\n  - /srv:/x:rq\n",
      /^web1\.yaml:3:5: mounts\.0\.options: "rq": there is no option rq; known are ro,/,
    ],
    ["mounts:\n  - {source: /a, target: /b, options: [ro, rw]}\n", /^web1\.yaml:3:39: .*ro and rw exclude/],
    [
      "mounts:\n  - {source: /a, traget: /b}\n",
      /web1\.yaml:3:26: mounts\.0\.traget: .*did you mean target\?/,
    ],
    ["mounts:\n  - {source: /a}\n", /^web1\.yaml:3:5: mounts\.0\.target: it is missing/],
    ["mounts: [/a:/b, /c:/b/]\n", 'web1.yaml:2:9: mounts: ["/a:/b","/c:/b/"]: two mounts have the target /b'],
    ["mounts: [/a:/]\n", /the guest's root cannot be mounted over/],
    ["mounts: [/a:/sys/fs]\n", /nothing is mounted at or below \/proc, \/sys, \/dev/],
    ["mounts: [/a:b]\n", /not an absolute path/],
    ["mounts: [/a/./b:/b]\n", /neither an absolute path/],
    ["mounts: [Upper:/b]\n", /nor the name of a volume/],
    ['mounts: ["/a\\u0001:/b"]\n', /control character/],
    ["mounts: /a:/b\n", /it must be a list of mounts/],
  ];
  for (const [yaml, message] of cases)
    test(JSON.stringify(yaml), () => {
      if (typeof message === "string") expect(fault(yaml)).toBe(message);
      else expect(fault(yaml)).toMatch(message);
    });
});

describe("changing the list", () => {
  const before =
    "template: d\nmounts:\n  # why\n  - /a:/x # note\n  - {source: /b, target: /y/}\npids: 100\n";
  test("a mount takes the place of the one with its target, in either form", () => {
    const { text, value } = changeConfig(before, "f", [{ mount: "/c:/y:ro" }, { mount: "data:/z" }]);
    expect(text).toBe(
      "template: d\nmounts:\n  # why\n  - /a:/x # note\n  - /c:/y:ro\n  - data:/z\npids: 100\n",
    );
    expect(value.mounts).toHaveLength(3);
  });
  test("the last one takes the list with it, and several can be added to none", () => {
    const { text } = changeConfig(before, "f", [{ unmount: "/x" }, { unmount: "/y" }]);
    expect(text).toBe("template: d\npids: 100\n");
    expect(changeConfig(text, "f", [{ mount: "/a:/b" }, { mount: "/c:/d" }]).value.mounts).toHaveLength(2);
  });
  test("what is not mounted is named", () => {
    expect(() => changeConfig(before, "f", [{ unmount: "/q" }])).toThrow('nothing is mounted at "/q"');
  });
});
