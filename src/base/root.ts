/** Most of what berth does needs root; it says so before it tries. */
import { BerthError } from "./errors.ts";

export function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new BerthError("host.not-root", "this needs root", "run it as root, or with sudo");
}
