/** What a person should know of settings that take something away. */
import type { ContainerConfig } from "../config/schema.ts";

/** One sentence for each such setting, about the container `name`. */
export function settingWarnings(name: string, config: ContainerConfig): readonly string[] {
  return [
    ...(config.privileged ? [`${name} is privileged: root in it is root on this host`] : []),
    ...(config.nesting
      ? [`${name} may nest: while it runs it cannot be checkpointed, migrated or suspended`]
      : []),
    ...(config.apparmor === "stacked"
      ? [`${name} may load AppArmor profiles: while it runs it cannot be checkpointed, migrated or suspended`]
      : []),
    ...(config.seccomp.allow.length > 0
      ? [`${name} may make system calls that its profile refuses: ${config.seccomp.allow.join(", ")}`]
      : []),
  ];
}
