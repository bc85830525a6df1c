import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { testDirectory } from "../base/test-directory.ts";
import { distributions } from "./distributions.ts";
import {
  chooseArchive,
  formatDeb822,
  formatOneLine,
  hostSources,
  parseDeb822,
  parseOneLine,
} from "./sources.ts";

const direct = { http: undefined, https: undefined };

describe("apt sources", () => {
  const root = testDirectory("storage");

  test("one-line entries", () => {
    const text =
      "# deb http://no/debian x main\ndeb [arch=amd64 signed-by=/k] http://a/debian trixie main contrib # why\ndeb-src http://b/ x main\n deb\thttp://c/ y/\n";
    expect(parseOneLine(text)).toEqual([
      { uri: "http://a/debian", suites: ["trixie"], components: ["main", "contrib"] },
      { uri: "http://c/", suites: ["y/"], components: [] },
    ]);
  });

  test("deb822 stanzas, with comments, continued lines and disabled ones", () => {
    const text =
      "Types: deb deb-src\n# http://snapshot/\nURIs: http://a/debian http://b/debian\nSuites: trixie\n trixie-updates\nComponents: main\nSigned-By: /k\n\nEnabled: no\nTypes: deb\nURIs: http://c\nSuites: x\nComponents: main\n";
    expect(parseDeb822(text)).toEqual([
      { uri: "http://a/debian", suites: ["trixie", "trixie-updates"], components: ["main"] },
      { uri: "http://b/debian", suites: ["trixie", "trixie-updates"], components: ["main"] },
    ]);
  });

  test("of a host: apt's order, http and https only", () => {
    mkdirSync(`${root}/sources.list.d`);
    writeFileSync(`${root}/sources.list`, "deb cdrom:[x]/ trixie main\ndeb http://one/debian/ trixie main\n");
    writeFileSync(`${root}/sources.list.d/b.list`, "deb https://three/debian trixie main\n");
    writeFileSync(
      `${root}/sources.list.d/a.sources`,
      "Types: deb\nURIs: http://two/debian\nSuites: trixie\nComponents: main\n",
    );
    writeFileSync(`${root}/sources.list.d/c.list.save`, "deb http://four/debian trixie main\n");
    expect(hostSources(root).map(({ uri }) => uri)).toEqual([
      "http://one/debian",
      "http://two/debian",
      "https://three/debian",
    ]);
    expect(hostSources(`${root}/none`)).toEqual([]);
  });

  test("are written for the guest and for the build", () => {
    const sources = [{ uri: "http://a/debian", suites: ["x", "x-updates"], components: ["main"] }];
    expect(formatDeb822(sources, "/k")).toBe(
      "Types: deb\nURIs: http://a/debian\nSuites: x x-updates\nComponents: main\nSigned-By: /k\n",
    );
    expect(formatOneLine(sources)).toEqual([
      "deb http://a/debian x main",
      "deb http://a/debian x-updates main",
    ]);
  });
});

describe("choosing an archive", () => {
  const debian = distributions["debian-13"];
  if (debian === undefined || debian.kind === "busybox") throw new Error("no debian-13");

  /** A mirror on the loopback that has the given paths. */
  const serve = (files: Record<string, string>) =>
    Bun.serve({
      port: 0,
      fetch: (request) => {
        const text = files[new URL(request.url).pathname];
        return text === undefined ? new Response("", { status: 404 }) : new Response(text);
      },
    });
  const release = "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\nSuite: stable\n";

  test("takes the host's first that is one of the distribution, with what it has", async () => {
    const server = serve({
      "/vendor/dists/trixie/InRelease": release.replace("Debian", "Vendor"),
      "/debian/dists/trixie/InRelease": release,
      "/debian/dists/trixie-updates/InRelease": release,
      "/debian-security/dists/trixie-security/InRelease": release,
    });
    const at = (path: string) => `http://127.0.0.1:${server.port}${path}`;
    const host = ["/vendor", "/debian"].map((path) => ({
      uri: at(path),
      suites: ["trixie"],
      components: ["main"],
    }));
    const archive = await chooseArchive(debian, "trixie", undefined, direct, host);
    expect(archive).toEqual({
      mirror: at("/debian"),
      sources: [
        { uri: at("/debian"), suites: ["trixie", "trixie-updates"], components: ["main"] },
        { uri: at("/debian-security"), suites: ["trixie-security"], components: ["main"] },
      ],
      warnings: [],
    });
    await server.stop(true);
  });

  test("says what is missing, and fails when nothing answers", async () => {
    const server = serve({ "/debian/dists/trixie/InRelease": release });
    const uri = `http://127.0.0.1:${server.port}/debian`;
    const noSecurity = { ...debian, securityMirror: "http://127.0.0.1:9/" };
    const archive = await chooseArchive(noSecurity, "trixie", uri, direct, []);
    expect(archive.sources).toEqual([{ uri, suites: ["trixie"], components: ["main"] }]);
    expect(archive.warnings).toHaveLength(2);
    await expect(chooseArchive(debian, "forky", uri, direct, [])).rejects.toMatchObject({
      code: "template.build-failed",
      message: expect.stringContaining("HTTP 404"),
    });
    await server.stop(true);
  });
});
