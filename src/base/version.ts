/** The version of this berth, from package.json; the compiled binary carries it. */
import manifest from "../../package.json" with { type: "json" };

export const version: string = manifest.version;
