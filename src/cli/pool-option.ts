/** The option by which commands on one pool say which. */
import { driverNames } from "../config/storage-drivers.ts";

export const poolOption = {
  name: "driver",
  kind: "choice",
  choices: driverNames,
  summary: "Whose pool; the only one there is when left out",
} as const;
