import { BerthError } from "../../base/errors.ts";
import { requireRoot } from "../../base/root.ts";
import { formatSize } from "../../base/units.ts";
import { importTemplate } from "../../storage/import/import.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  name: "template import",
  summary: "Make a template of an archive, an image or a directory",
  description:
    "SOURCE is a tar archive (plain, gzip, xz, zstd or bzip2; OpenVZ template caches and the rootfs of LXC images are such), an Incus or LXD container image (one file, or its root file system with --metadata), a squashfs image, a directory, or - for stdin. What it is is told by its content, never by its name.\n\nA checksum and a signature are verified before anything is unpacked. Nothing of the archive is trusted: no link of it is followed, paths with .. are refused, device nodes are left out, hard links become copies, and it is not unpacked beyond --max-size and --max-entries.\n\nThe tree is then made a guest: its machine id, host name, ssh host keys and network configuration go, its console gets a login. --no-polish leaves it as it is.",
  arguments: [
    { name: "name", kind: "string", summary: "Name of the template" },
    { name: "source", kind: "path", summary: "Archive, image or directory; - for stdin" },
  ],
  options: [
    {
      name: "sha256",
      kind: "string",
      value: "HEX",
      summary: "The checksum that SOURCE must have; for an Incus image in two files its fingerprint will do",
    },
    {
      name: "signature",
      kind: "path",
      value: "FILE",
      summary: "Detached OpenPGP signature of SOURCE; needs --keyring",
    },
    {
      name: "keyring",
      kind: "path",
      value: "FILE",
      summary: "The keys that may have made the signature (binary, as gpgv reads them)",
    },
    {
      name: "metadata",
      kind: "path",
      value: "FILE",
      summary: "The metadata of an Incus or LXC image in two files",
    },
    {
      name: "format",
      kind: "choice",
      choices: ["auto", "tar", "directory", "incus", "openvz"],
      default: "auto",
      summary: "What SOURCE must be; tar and openvz have the root file system at the top",
    },
    {
      name: "arch",
      kind: "string",
      value: "ARCH",
      summary: "Architecture, where neither the image nor its programs tell",
    },
    {
      name: "uid-base",
      kind: "count",
      value: "ID",
      default: "0",
      summary: "The id that root has in it: 100000 in the tree of an unprivileged container",
    },
    { name: "max-size", kind: "size", default: "64G", summary: "Bytes that all its files may have together" },
    {
      name: "max-entries",
      kind: "count",
      default: "1000000",
      summary: "Files and directories that it may have",
    },
    {
      name: "replace",
      kind: "flag",
      summary: "Let a name that exists move on to the new template; containers keep the one they have",
    },
    { name: "no-polish", kind: "flag", summary: "Leave the tree as it is; it may not boot clean" },
  ],
  examples: [
    {
      command: "berth template import web rootfs.tar.xz --sha256 9f86d081...",
      what: "A root file system, its checksum verified",
    },
    {
      command: "berth template import alpine rootfs.squashfs --metadata incus.tar.xz",
      what: "An Incus image in two files",
    },
    {
      command: "berth template import old /var/lib/lxc/old/rootfs --uid-base 100000",
      what: "The tree of a stopped unprivileged LXC container",
    },
    {
      command: "curl -s https://example.org/rootfs.tar.zst | berth template import web -",
      what: "From a pipe",
    },
  ],
  seeAlso: ["template build", "template export", "template info"],
  async run(context) {
    requireRoot();
    const { name, source } = context.arguments;
    const { signature, keyring, sha256, metadata, format, arch } = context.options;
    if ((signature === undefined) !== (keyring === undefined))
      throw new BerthError(
        "usage.bad-argument",
        "--signature and --keyring belong together",
        "--signature names the signature, --keyring the keys that may have made it",
      );
    const template = await importTemplate(
      {
        name,
        source,
        sha256: sha256 === undefined ? undefined : checksum(sha256),
        signature:
          signature === undefined || keyring === undefined ? undefined : { file: signature, keyring },
        metadata,
        format,
        arch,
        uidBase: context.options["uid-base"],
        maxSize: context.options["max-size"],
        maxEntries: context.options["max-entries"],
        polish: !context.options["no-polish"],
        replace: context.options.replace,
      },
      context.progress,
    );
    const { metadata: made, digest, names } = template;
    context.out.result(
      { ...made, names },
      () => `${name}: imported, ${formatSize(made.size)} in ${made.entries} files, ${digest.slice(0, 12)}`,
    );
  },
});

function checksum(text: string): string {
  const hex = text.toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new BerthError(
    "usage.bad-argument",
    `--sha256: ${JSON.stringify(text)} is not a sha256 checksum`,
    "64 hexadecimal digits, as sha256sum prints them",
  );
}
