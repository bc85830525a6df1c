/**
 * The system calls a guest is refused, as the text that berth-seccomp compiles. Profile `default` allows everything
 * else: the kernel checks capabilities itself, and an old guest must run. `nesting` is `default` with namespaces of its
 * own. `strict` lays a list of what is allowed over `default`.
 */
import type { ContainerConfig } from "../config/schema.ts";
import { sharedNumber } from "../config/syscalls.ts";
import {
  absent,
  absentPrivileged,
  refused,
  refusedPrivileged,
  strictAllowed,
  strictFamilies,
} from "./syscall-lists.ts";

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

/** FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS: would take a file out of its project quota. */
const refusedIoctls = [0x401c5820, 0x40086602, 0x40046602] as const;

/** The kernel looks at the low half of an int argument only (CVE-2019-10063). */
const INT_BITS = 0xffffffff;

/** Its addresses know no network namespace: a guest would speak with the hypervisor's side, and with its neighbours. */
const AF_VSOCK = 40;

// include/uapi/linux/sched.h
const CLONE_NEWTIME = 0x80;
const nestedNamespaces = [
  0x02000000, // CLONE_NEWCGROUP
  0x04000000, // CLONE_NEWUTS
  0x08000000, // CLONE_NEWIPC
  0x10000000, // CLONE_NEWUSER
  0x20000000, // CLONE_NEWPID
  0x40000000, // CLONE_NEWNET
] as const;

const architectures: Record<string, readonly string[]> = {
  x64: ["x86_64", "x32", "x86"],
  arm64: ["aarch64", "arm"],
};

export type SeccompChoice = Pick<ContainerConfig, "privileged" | "nesting" | "seccomp"> & {
  /** process.arch of the host. */
  readonly arch: string;
};

/** What the profile of a container is called. */
export const profileName = ({ nesting, seccomp }: Pick<ContainerConfig, "nesting" | "seccomp">) =>
  nesting ? "nesting" : seccomp.profile;

type Rule = { readonly errno: number; readonly call: string; readonly condition?: string };

/** A call as berth-seccomp names it: by number where libseccomp may be older than the call. */
const named = (call: string): string => {
  const number = sharedNumber(call);
  return number === undefined ? call : `nr:${number}`;
};

const refuse = (errno: number, calls: readonly string[]): Rule[] => calls.map((call) => ({ errno, call }));

const flagSet = (call: string, flag: number): Rule => ({
  errno: EPERM,
  call,
  condition: `0 masked_eq ${flag} ${flag}`,
});

/** CRIU cannot dump nested namespaces. */
const noNesting: readonly Rule[] = [
  ...nestedNamespaces.flatMap((flag) => [flagSet("clone", flag), flagSet("unshare", flag)]),
  flagSet("unshare", CLONE_NEWTIME),
  // Its flags lie in memory where a filter cannot see them; libc falls back to clone.
  { errno: ENOSYS, call: "clone3" },
];

const privilegedRules: readonly Rule[] = [
  ...refuse(EPERM, refusedPrivileged),
  ...refuse(ENOSYS, absentPrivileged),
  ...refusedIoctls.map((request) => ({
    errno: EPERM,
    call: "ioctl",
    condition: `1 masked_eq ${request} ${INT_BITS}`,
  })),
];

/** What is refused; what a person denies stands first, and what they allow is taken off. */
function rules({ privileged, nesting, seccomp }: SeccompChoice): Rule[] {
  const allowed = new Set(seccomp.allow);
  const denied = new Set(seccomp.deny);
  const built: readonly Rule[] = [
    ...refuse(EPERM, refused),
    ...refuse(ENOSYS, absent),
    { errno: EAFNOSUPPORT, call: "socket", condition: `0 masked_eq ${AF_VSOCK} ${INT_BITS}` },
    ...(privileged ? privilegedRules : []),
    ...(nesting ? [] : noNesting),
  ];
  return [
    ...refuse(EPERM, [...denied]),
    ...built.filter(({ call }) => !allowed.has(call) && !denied.has(call)),
  ];
}

const ruleText = ({ errno, call, condition }: Rule): string =>
  `errno ${errno} ${condition === undefined ? named(call) : `${call} ${condition}`}`;

/** Everything that is not on the list is answered as by a kernel without it; of architectures the host's own alone. */
function allowlist({ arch, seccomp }: SeccompChoice): string {
  return [
    `default errno ${ENOSYS}`,
    `badarch errno ${ENOSYS}`,
    ...(architectures[arch]?.slice(0, 1) ?? []).map((one) => `arch ${one}`),
    ...[...new Set([...strictAllowed, ...seccomp.allow])].map((call) => `allow ${named(call)}`),
    ...(seccomp.allow.includes("socket")
      ? []
      : strictFamilies.map((family) => `allow socket 0 masked_eq ${family} ${INT_BITS}`)),
    "",
  ].join("\n");
}

export type SeccompPolicy = {
  readonly text: string;
  /** Whether the kernel logs what it refuses. */
  readonly log: boolean;
};

/**
 * The policies of a container, in the order in which the kernel gets them: of several it takes the strictest answer,
 * and among equals that of the last. Where refusals are logged, the calls that every program tries and does without
 * (clone3 at each fork) get a policy of their own: their records would drown the others.
 */
export function seccompPolicies(choice: SeccompChoice): readonly SeccompPolicy[] {
  const { log } = choice.seccomp;
  const denylist = (some: readonly Rule[]): string =>
    [
      "default allow",
      `badarch errno ${ENOSYS}`,
      ...(architectures[choice.arch] ?? []).map((arch) => `arch ${arch}`),
      ...some.map(ruleText),
      "",
    ].join("\n");
  const all = rules(choice);
  const absentCalls = ({ errno }: Rule): boolean => errno === ENOSYS;
  return [
    ...(profileName(choice) === "strict" ? [{ text: allowlist(choice), log }] : []),
    ...(log
      ? [
          { text: denylist(all.filter(absentCalls)), log: false },
          { text: denylist(all.filter((rule) => !absentCalls(rule))), log: true },
        ]
      : [{ text: denylist(all), log: false }]),
  ];
}
