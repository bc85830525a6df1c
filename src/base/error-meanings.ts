/** What each error code means, for the manual (docs/reference/errors.md). */
import { type ErrorCode, errorCodes, exitCodes } from "./errors.ts";

const meanings: Record<ErrorCode, string> = {
  "usage.unknown-command": "There is no such command.",
  "usage.bad-argument": "An option or argument is missing or has a value it cannot have.",
  "host.not-root": "The command needs root.",
  "host.missing-program": "A program berth uses is not installed; the hint names its package.",
  "host.missing-feature": "The kernel lacks something the command needs; `berth check` lists what there is.",
  "host.command-failed": "A program of the host failed; the message has its last words.",
  "host.no-space": "A disk or a quota of the host is full.",
  "host.io": "The host refused a file operation; the message has path and reason.",
  "host.disk": "The disk under a pool fails; the message names pool and disk, and what failed first.",
  "config.invalid": "Settings have faults; each is named with file, line, column, key, value and cure.",
  "config.unreadable": "A file that berth keeps is missing or damaged.",
  "container.not-found": "There is no container of that name or ctid.",
  "container.exists": "The name is taken.",
  "container.bad-name": "The word cannot be a container's name.",
  "container.not-running": "It must run for this, and is stopped.",
  "container.running": "It must be stopped for this, and runs.",
  "container.frozen": "It is frozen (or is not, where it should be).",
  "container.busy": "Another command works on it, or the kernel cannot take back what a smaller limit would.",
  "container.start-failed":
    "It did not start; the message names the step and the reason. Nothing is left of the try.",
  "container.stop-timeout": "Its init does not die even by SIGKILL.",
  "container.attach-failed": "No command could be run in it; the message names the step and the reason.",
  "container.mount-failed":
    "Nothing could be mounted in it while it runs; the message names the mount and the reason. Nothing has changed.",
  "container.suspended": "Its processes lie in a checkpoint and wait to go on with the disk as it is.",
  "container.not-suspended": "Only a suspended container can be resumed.",
  "container.not-checkable":
    "Something in the guest cannot be written to a checkpoint; the message names it.",
  "checkpoint.failed": "CRIU could not write the guest down or bring it back; it is as it was before.",
  "snapshot.not-found": "The container has no snapshot of that name.",
  "snapshot.exists": "The container has a snapshot of that name already.",
  "container.view-failed":
    "The root of a stopped container could not be mounted; the message names the step and the reason.",
  "container.mounted": "Its root is mounted on the host; `berth umount` takes the mount away.",
  "container.not-mounted": "Its root is not mounted on the host.",
  "template.not-found": "There is no template of that name or digest.",
  "template.exists": "The template's name is taken.",
  "template.in-use": "Containers were made from the template.",
  "template.build-failed": "A template could not be built; the message has the reason.",
  "template.bad-name": "The word cannot be a template's name.",
  "archive.damaged":
    "The archive is cut short or damaged, or in no format that berth reads; the message names byte and member.",
  "archive.exists": "A file of that name is there already.",
  "archive.refused":
    "The archive holds what berth does not unpack: a path that leads out of it, too much, another architecture.",
  "archive.unverified": "Its checksum or signature is not the one asked for. Nothing was unpacked.",
  "storage.failed": "A storage operation failed, or the volume cannot do what was asked.",
  "storage.in-use": "The volume is still mounted.",
  "pool.exists": "There is a pool for that driver already, or its place holds something.",
  "pool.not-found": "There is no pool of that kind.",
  "pool.in-use": "Containers have their volumes in the pool.",
  "volume.not-found": "There is no volume of that name.",
  "volume.exists": "The volume's name is taken.",
  "volume.bad-name": "The word cannot be a volume's name.",
  "volume.in-use": "Containers name the volume among their mounts, or use it just now.",
  "network.failed": "Bridge, links or addresses could not be set up as asked.",
  "network.address-taken": "Another container, or the bridge, has the address.",
  "network.no-address": "No address or subnet is free.",
  interrupted:
    "A signal came before it was done, and what had been begun is undone. The exit code is 128 and the signal's number.",
  "migrate.refused":
    "The container cannot move there as things are; each reason is named with its cure. Nothing has changed.",
  "migrate.failed": "It did not move; the message has the reason. It is where and as it was.",
  "migrate.undecided":
    "A migration was cut at the very switch: the container stands still on both sides until `berth migrate --resolve` has heard from the other.",
  internal: "A defect of berth. BERTH_DEBUG=1 shows more; please report it.",
};

/** docs/reference/errors.md. */
export function errorReference(): string {
  const codes = Object.entries(errorCodes).map(([code, kind]) => [
    code,
    exitCodes[kind],
    meanings[code as ErrorCode],
  ]);
  return `# Errors

Made from the code; do not edit. Every failure prints \`berth: MESSAGE\` and a hint below it on stderr, or with \`--json\`
\`{"error": {"code", "message", "hint"}}\`. Codes and exit codes do not change once released. \`exec\` and \`enter\` exit with the guest program's
code, and with 125 when berth itself failed.

| code | exit code | meaning |
| --- | --- | --- |
${codes.map(([code, exit, meaning]) => `| \`${code}\` | ${exit} | ${meaning} |`).join("\n")}
`;
}
