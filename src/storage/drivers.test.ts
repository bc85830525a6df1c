import { expect, test } from "bun:test";
import { driverCases } from "./cases.ts";
import { chooseDriver } from "./drivers.ts";
import { imageDriver } from "./image.ts";
import { plainDriver } from "./plain.ts";

for (const driver of [imageDriver, plainDriver]) driverCases(driver);

test("nobody gets a volume without limits unasked", async () => {
  expect(await chooseDriver()).toBe("image");
});
