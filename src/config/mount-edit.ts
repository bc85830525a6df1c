/** Adding and taking away mounts in a document, keeping what stands around them. */
import { type Document, isNode, isSeq, type YAMLSeq } from "yaml";
import { BerthError } from "../base/errors.ts";
import { splitMount } from "./mounts.ts";

const PATH = ["mounts"];

/** Adds a mount in its short form, in the place of one with the same target. */
export function putMount(document: Document, text: string): void {
  const list = listOf(document);
  const place = list === undefined ? -1 : indexOf(list, document, splitMount(text)?.target);
  if (list === undefined) document.setIn(PATH, document.createNode([text]));
  else if (place < 0) list.add(document.createNode(text));
  else list.set(place, document.createNode(text));
}

/** Takes the mount with that target away. Throws usage.bad-argument when there is none. */
export function dropMount(document: Document, target: string): void {
  const list = listOf(document);
  const place = list === undefined ? -1 : indexOf(list, document, target.replace(/(?<=.)\/+$/, ""));
  if (list === undefined || place < 0) {
    const targets = list?.items.map((item) => targetOf(item, document)).join(", ");
    throw new BerthError(
      "usage.bad-argument",
      `nothing is mounted at ${JSON.stringify(target)}`,
      targets ? `there are mounts at ${targets}` : "the container has no mounts",
    );
  }
  list.delete(place);
  if (list.items.length === 0) document.deleteIn(PATH);
}

function listOf(document: Document): YAMLSeq | undefined {
  const list: unknown = document.getIn(PATH, true);
  return isSeq(list) ? list : undefined;
}

const indexOf = (list: YAMLSeq, document: Document, target: string | undefined): number =>
  target === undefined ? -1 : list.items.findIndex((item) => targetOf(item, document) === target);

/** Where a mount of either form is in the guest; undefined for what is no mount. */
function targetOf(item: unknown, document: Document): string | undefined {
  const plain: unknown = isNode(item) ? item.toJS(document) : item;
  if (typeof plain === "string") return splitMount(plain)?.target;
  if (typeof plain !== "object" || plain === null || !("target" in plain)) return undefined;
  return String(plain.target).replace(/(?<=.)\/+$/, "");
}
