import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BerthError } from "../../base/errors.ts";
import { defineCommand } from "./command.ts";
import { asksForHelp, asksForJson, parse } from "./parse.ts";

const create = defineCommand({
  name: "create",
  summary: "Create a container",
  arguments: [{ name: "name", kind: "string", summary: "Its name" }],
  options: [
    { name: "memory", short: "m", kind: "size", words: ["unlimited"], summary: "Memory" },
    { name: "disk", kind: "size", words: ["none"], soft: true, summary: "Disk" },
    { name: "cpus", kind: "number", summary: "CPUs" },
    { name: "pids", kind: "count", summary: "Processes" },
    { name: "timeout", kind: "duration", summary: "Time" },
    { name: "storage", kind: "choice", choices: ["image", "plain"], summary: "Driver" },
    { name: "nesting", kind: "boolean", summary: "Nesting" },
    { name: "env", short: "e", kind: "pair", repeatable: true, summary: "Environment" },
    { name: "start", short: "s", kind: "flag", summary: "Start it" },
  ],
  examples: [],
  async run() {},
});

const stop = defineCommand({
  name: "stop",
  summary: "Stop containers",
  arguments: [{ name: "name", kind: "container", variadic: true, orAll: true, summary: "Their names" }],
  options: [],
  examples: [],
  async run() {},
});

const exec = defineCommand({
  name: "exec",
  summary: "Run a program",
  arguments: [{ name: "name", kind: "container", summary: "The container" }],
  options: [{ name: "user", short: "u", kind: "string", summary: "As whom" }],
  passthrough: { name: "command", summary: "The program" },
  passesExitCode: true,
  examples: [],
  async run() {},
});

const line = (text: string): string[] => text.split(" ").filter((word) => word !== "");

function failure(work: () => unknown): BerthError {
  try {
    work();
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("options", () => {
  test("stand before, between and behind names", () => {
    for (const words of [
      "web1 --memory 512M",
      "--memory 512M web1",
      "--memory=512M web1",
      "web1 -m512M",
      "-m 512M web1",
    ]) {
      const parsed = parse(create, line(words));
      expect(parsed.arguments).toEqual({ name: "web1" });
      expect(parsed.options.memory).toBe(512 * 2 ** 20);
      expect(parsed.written.get("memory")).toBe("512M");
    }
  });

  test("may take a soft limit before the hard one", () => {
    expect(parse(create, line("web1 --disk 20G")).options.disk).toBe(20 * 2 ** 30);
    for (const word of ["18G:20G", "18G:none"])
      expect(String(parse(create, line(`web1 --disk ${word}`)).options.disk)).toBe(word);
    for (const word of ["18G:", "1:2:3", "a:20G"])
      expect(failure(() => parse(create, line(`web1 --disk ${word}`))).code).toBe("usage.bad-argument");
    expect(failure(() => parse(create, line("web1 --memory 1G:2G"))).code).toBe("usage.bad-argument");
  });

  test("have the type of their kind", () => {
    const { options } = parse(
      create,
      line(
        "a --memory unlimited --cpus 1.5 --pids 2k --timeout 2m --storage image --nesting off -e A=1 -e B=x=y -s",
      ),
    );
    expect(options).toMatchObject({
      memory: "unlimited",
      cpus: 1.5,
      pids: 2000,
      timeout: 120,
      storage: "image",
      nesting: false,
      env: [
        ["A", "1"],
        ["B", "x=y"],
      ],
      start: true,
      json: false,
    });
  });

  test("which are not given are false, empty or undefined", () => {
    const { options } = parse(create, ["a"]);
    expect(options.start).toBe(false);
    expect(options.env).toEqual([]);
    expect(options.memory).toBeUndefined();
  });

  test("short flags share a word; the last may take its value from the rest", () => {
    const parsed = parse(create, ["-sqm1G", "a"]);
    expect(parsed).toMatchObject({ quiet: true, options: { start: true, memory: 2 ** 30 } });
  });

  test.each([
    ["a --memori 1G", "--memori", "did you mean --memory?"],
    ["a --start=yes", "--start takes no value", ""],
    ["a --memory", "--memory needs a value", ""],
    ["a --memory --start", '"--start" looks like another option', "--memory=--start"],
    ["a --memory 12Q", '--memory: "12Q"', "512M"],
    ["a --storage imgae", '--storage: "imgae"', 'did you mean "image"?'],
    ["a --nesting maybe", '--nesting: "maybe"', "yes or no"],
    ["a --env =x", '--env: "=x"', "KEY=VALUE"],
    ["a -x", "no option -x", "--help"],
    ["a b", '"b" is one word too many', "--help"],
    ["", "NAME is missing", "--help"],
  ])("berth create %s is refused: %s", (words, message, hint) => {
    const error = failure(() => parse(create, line(words)));
    expect(error.code).toBe("usage.bad-argument");
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });
});

describe("several names", () => {
  test("each counts once", () => {
    expect(parse(stop, line("b a b")).arguments).toEqual({ name: ["b", "a"] });
  });
  test("or --all, not both, not neither", () => {
    expect(parse(stop, ["--all"])).toMatchObject({ all: true, arguments: { name: [] } });
    expect(failure(() => parse(stop, ["--all", "a"])).message).toContain("exclude each other");
    expect(failure(() => parse(stop, [])).hint).toContain("--all");
  });
  test("behind -- an option is a name", () => {
    expect(parse(stop, ["--", "--all"]).arguments).toEqual({ name: ["--all"] });
  });
});

describe("passthrough", () => {
  test.each([
    ["web1 ls -l", ["ls", "-l"]],
    ["web1 -- ls -l", ["ls", "-l"]],
    ["web1 ls --json --help", ["ls", "--json", "--help"]],
    ["-- web1 ls -- x", ["ls", "--", "x"]],
    ["-- web1 -- ls", ["ls"]],
    ["web1 ls -- x", ["ls", "--", "x"]],
  ])("%s", (words, rest) => {
    const parsed = parse(exec, line(words));
    expect(parsed.arguments).toEqual({ name: "web1" });
    expect(parsed.rest).toEqual(rest);
    expect(parsed.json).toBe(false);
  });
  test("its options stand before the name", () => {
    expect(parse(exec, line("--json -u www web1 id -u"))).toMatchObject({
      json: true,
      options: { user: "www" },
      rest: ["id", "-u"],
    });
  });
  test("the program's --help is the program's", () => {
    expect(asksForHelp(exec, line("web1 ls --help"))).toBe(false);
    expect(asksForHelp(exec, line("-u --help"))).toBe(true);
    expect(asksForHelp(exec, line("--help"))).toBe(true);
    expect(asksForHelp(create, line("web1 --help"))).toBe(true);
    expect(asksForJson(exec, line("-u x web1 ls --json"))).toBe(false);
  });
  test("cannot be left out", () => {
    expect(failure(() => parse(exec, ["web1"])).message).toContain("COMMAND is missing");
  });
});

describe("whatever is typed", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom(
      "--",
      "-",
      "--memory",
      "-m",
      "--memory=",
      "--all",
      "-q",
      "--env",
      "a=b",
      "web1",
      "__proto__",
      "--__proto__",
      "--constructor",
    ),
  );

  test("is parsed or refused with a usage error, and never touches a prototype", () => {
    fc.assert(
      fc.property(fc.array(word), fc.constantFrom(create, stop, exec), (words, command) => {
        try {
          parse(command, words);
        } catch (error) {
          expect(error).toBeInstanceOf(BerthError);
          expect((error as BerthError).exitCode).toBe(2);
        }
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
    );
  });

  test("a passed-through command arrives word by word", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (words) => {
        expect(parse(exec, ["web1", "--", ...words]).rest).toEqual(words);
      }),
    );
  });

  test("names behind -- arrive unchanged", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1 }), (names) => {
        expect(parse(stop, ["--", ...names]).arguments).toEqual({ name: names });
      }),
    );
  });

  test("--option=value takes any text as the value", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parse(exec, [`--user=${text}`, "web1", "id"]).options.user).toBe(text);
      }),
    );
  });
});
