import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { containerPaths, instance } from "../base/paths.ts";
import { storageDriver } from "../storage/drivers.ts";
import { temporaryRoot, useRoot } from "../storage/testing.ts";
import { declareIntent } from "./intent.ts";
import { layerOwners, newLayerId, sweepLayers } from "./layers.ts";
import { type ContainerState, saveState } from "./store.ts";

const plain = storageDriver("plain");
const before = { ...instance };
let drop: () => void;
beforeEach(() => {
  const made = temporaryRoot();
  useRoot(made.root);
  drop = made.drop;
});
afterEach(() => {
  drop();
  Object.assign(instance, before);
});

const layerOf = (id: string) => ({ id, storage: "plain" as const, baseUid: 0 });

const stateWith = (layer: string): ContainerState => ({
  ...{ version: 1, uuid: crypto.randomUUID(), template: "t", storage: "plain", layers: [layerOf(layer)] },
  ...{ baseUid: 0, mac: "", address: null, created: "", shouldRun: false, suspended: false, identity: "" },
});

function makeContainer(name: string): void {
  mkdirSync(containerPaths(name).dir, { recursive: true });
  writeFileSync(containerPaths(name).config, "template: t\n");
}

async function newLayer(): Promise<string> {
  const id = newLayerId();
  await plain.create(id, { bytes: undefined, inodes: undefined });
  return id;
}

describe("a sweep", () => {
  test("removes what nobody has, and only that", async () => {
    const [used, unused] = [await newLayer(), await newLayer()];
    makeContainer("a");
    saveState("a", stateWith(used));
    await sweepLayers();
    expect(plain.volumes()).toEqual([used]);
    expect(plain.exists(unused)).toBe(false);
  });

  test("leaves a layer that another command has begun to make since it looked for owners", async () => {
    const unused = await newLayer();
    makeContainer("a");
    saveState("a", stateWith(newLayerId()));
    const made = newLayerId();
    const image = storageDriver("image");
    const { volumes } = image;
    // The other command does its work at the moment when ours asks for the volumes of some driver.
    const meanwhile = (): readonly string[] => {
      declareIntent("a", {
        ...{ operation: "copy", uuid: "u", storage: "plain", thaw: false },
        layers: [layerOf(made)],
      });
      mkdirSync(`${instance.lib}/pool/plain/${made}/upper`, { recursive: true });
      return volumes();
    };
    Object.assign(image, { volumes: meanwhile });
    try {
      await sweepLayers();
    } finally {
      Object.assign(image, { volumes });
    }
    expect(plain.exists(made)).toBe(true);
    expect(plain.exists(unused)).toBe(false);
  });

  test("takes nothing away from a container whose state.json is lost", async () => {
    const id = await newLayer();
    makeContainer("a");
    saveState("a", stateWith(id));
    rmSync(containerPaths("a").state);
    expect(sweepLayers()).rejects.toMatchObject({ code: "config.unreadable" });
    expect(plain.exists(id)).toBe(true);
  });
});

test("who is being made has layers by the intent alone", () => {
  const id = newLayerId();
  makeContainer("a");
  declareIntent("a", { operation: "create", uuid: "u", storage: "plain", layers: [layerOf(id)] });
  expect([...(layerOwners().get(id) ?? [])]).toEqual(["a (create)"]);
});
