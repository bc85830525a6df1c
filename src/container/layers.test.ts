import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { containerPaths, instance } from "../base/paths.ts";
import { onWarning } from "../base/warning.ts";
import { storageDriver } from "../storage/drivers.ts";
import { temporaryRoot, useRoot } from "../storage/testing.ts";
import { undoFreeze } from "./exchange.ts";
import { declareIntent } from "./intent.ts";
import { layerOwners, newLayerId, sweepLayers } from "./layers.ts";
import { type ContainerState, loadState, saveState } from "./store.ts";

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

  test.each([
    ["lost", () => rmSync(containerPaths("a").state)],
    ["damaged", () => writeFileSync(containerPaths("a").state, "{ no")],
  ])("keeps every layer while a state.json is %s, and says once which", async (_, hurt) => {
    const [used, unused] = [await newLayer(), await newLayer()];
    makeContainer("a");
    makeContainer("b");
    saveState("a", stateWith(used));
    saveState("b", stateWith(used));
    hurt();
    const warnings: string[] = [];
    onWarning((text) => warnings.push(text));
    await sweepLayers();
    await sweepLayers();
    expect(plain.exists(used) && plain.exists(unused)).toBe(true);
    expect(warnings).toEqual([expect.stringContaining(`a/state.json`)]);
    expect(warnings[0]).toContain("from a backup");
    saveState("a", stateWith(used));
    await sweepLayers();
    expect(plain.volumes()).toEqual([used]);
  });

  test("a freeze that is cut stays while another container's state.json is damaged, and goes afterwards", async () => {
    const state = stateWith(await newLayer());
    makeContainer("a");
    makeContainer("b");
    saveState("a", state);
    await plain.create(state.uuid, { bytes: undefined, inodes: undefined });
    writeFileSync(containerPaths("b").state, "{ no");
    const freeze = { operation: "freeze", uuid: state.uuid, storage: "plain", layers: state.layers } as const;
    await undoFreeze("a", freeze);
    expect(loadState("a").layers).toEqual(state.layers);
    expect(plain.volumes()).toContain(state.layers[0]?.id ?? "");
    rmSync(containerPaths("b").dir, { recursive: true });
    await undoFreeze("a", freeze);
    expect(plain.volumes()).toEqual([state.uuid]);
  });
});

test("who is being made has layers by the intent alone", () => {
  const id = newLayerId();
  makeContainer("a");
  declareIntent("a", { operation: "create", uuid: "u", storage: "plain", layers: [layerOf(id)] });
  expect([...(layerOwners().get(id) ?? [])]).toEqual(["a (create)"]);
});
