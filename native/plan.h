/* plan.h - the launch plan: what berth-launch is told to do.
 *
 * A plan is written by TypeScript (src/launch/encode.ts) and read once, as a whole. Little endian:
 *
 *   header   8 bytes "BERTHPLN", u32 version, u32 size of the whole plan, u32 number of records, u32 zero
 *   record   u16 op, u16 argc, u32 size of its arguments
 *   argument u32 length, the bytes, one NUL that is not counted
 *
 * Every length is checked against what is left before anything is looked at. Text arguments hold no NUL;
 * numbers are decimal text; only arguments marked (binary) may hold any byte. An unknown op is an error:
 * a plan is never half understood. src/launch/ops.ts mirrors the table below; a test keeps them equal.
 */
#ifndef BERTH_PLAN_H
#define BERTH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PLAN_VERSION = 1,
	PLAN_MAX_SIZE = 1 << 20,
	PLAN_MAX_RECORDS = 4096,
	PLAN_MAX_ARGS = 256,
};

enum plan_op {
	/* What is started. */
	OP_NAME = 1,        /* name: for messages only */
	OP_NAMESPACES = 2,  /* any of: user pid mnt uts ipc net cgroup */
	OP_IDMAP = 3,       /* "u"|"g", first inside, first outside, count */
	OP_INIT = 4,        /* argv...; none where a guest is held that has no program of its own */
	OP_ENV = 5,         /* KEY=VALUE... : the whole environment of init */
	OP_HOSTNAME = 6,    /* name */
	OP_RUNDIR = 7,      /* directory (exists, 0700): init, exit, loop records and keeper.sock live there */
	OP_CONSOLE = 8,     /* log file ("" none), bytes before it is rotated to .1 (0: never), uid, gid of the slave, rows, columns */
	OP_REBOOT = 9,      /* argv... that the keeper execs, lock on fd 3, when the guest asked for a reboot */
	OP_EVENTS = 10,     /* file to which the keeper appends one JSON line an event */
	OP_TRACE = 11,      /* no argument: print "trace STEP MICROSECONDS" lines on the status fd */

	/* Cgroups and devices: before the clone. */
	OP_CGROUP_JOIN = 20,   /* "v1"|"v2", directory: the guest's. v1: 0 to tasks; v2: CLONE_INTO_CGROUP */
	OP_CGROUP_KEEPER = 21, /* "v1"|"v2", directory: the keeper's. v2: it is born there; v1: entered after the clone */
	OP_CGROUP_REMOVE = 22, /* directory tree that the keeper removes once the guest has ended */
	OP_OOM_EVENTS = 23,    /* "v1"|"v2", file with an "oom_kill N" line (memory.oom_control, memory.events) */
	OP_END_WRITE = 25,     /* file, text: written once by the keeper when the guest has ended, before CGROUP_REMOVE */
	OP_DEVICE_BPF = 24,    /* cgroup v2 directory, program (binary, struct bpf_insn[]) */

	/* The root file system: made by the host in a mount namespace of the keeper's own. "@ID/..." names a
	 * path below a mount made by an earlier LOOP or BIND record. */
	OP_SCRATCH = 30,    /* directory on which a tmpfs is mounted (privately) to hold these mounts */
	OP_LOOP = 31,       /* id, image file, fstype, mount options (comma separated, may be empty), any of dio shared (comma
			     * separated): shared with others who say so, by one device */
	OP_BIND = 32,       /* id, source directory, any of: ro rec and idmap or shift=FROM : a clone of source; idmap: ids 0.. on disk
			     * show as the guest's, by its map; shift: ids FROM.. do */
	OP_OWNED_DIR = 33,  /* "@ID/path", octal mode, uid, gid: made if missing, mode and owner put right */
	OP_ROOT_OVERLAY = 34, /* KEY=VALUE or KEY ... : fsconfig of an overlay; the guest's root. With an upperdir it must be read-write after mounting */
	OP_ROOT_BIND = 35,  /* source "@ID/path" or path, any of: ro idmap : a directory tree as root instead */

	/* Inside the new root, done by the host (openat2 below the root, no symlinks followed). */
	OP_NODE = 36,       /* path, "c"|"b", major, minor, octal mode, uid, gid: made again if it is anything else */
	OP_DIR = 37,        /* path, octal mode, uid, gid: a directory, made if missing */
	OP_SYMLINK = 38,    /* path, target, uid, gid: made again if it is anything else */

	/* Mounts and files of the guest: done by the guest-to-be inside its namespaces, in the order of the plan (a SYSCTL
	 * comes after the MOUNT of proc and before a READONLY of /proc/sys). Targets are below the root; missing ones are made. */
	OP_MOUNT = 40,      /* fstype, target, attributes (comma separated: ro nosuid nodev noexec relatime noatime nosymfollow), KEY=VALUE or KEY ... */
	OP_BIND_SELF = 41,  /* target: a bind mount of it onto itself */
	OP_BIND_HOST = 42,  /* source: a path of the host without symbolic links, or "@ID/path"; target; attributes as in MOUNT plus: idmap rec : made
			     * by the host, moved in; the guest's root cannot take attributes off */
	OP_BIND_CONSOLE = 43, /* target directory for the keeper's devpts */
	OP_MASK = 44,       /* path: a file gets the guest's own /dev/null over it, a directory an empty read-only tmpfs; absent is fine */
	OP_READONLY = 45,   /* path: bound onto itself read-only; absent is fine */
	OP_FILE = 46,       /* path, octal mode, "always"|"missing"|"empty", content (binary): written with the guest's ids */
	OP_SYSCTL = 47,     /* path below /proc/sys with slashes, value, "must"|"may" */
	OP_ROOT_SHARED = 48, /* no argument: make / rshared, as systemd will */

	/* Init's confinement: applied last. */
	OP_RLIMIT = 50,     /* number of the resource, soft, hard ("max" for infinity) */
	OP_OOM_SCORE = 51,  /* oom_score_adj */
	OP_CAPS = 52,       /* number of each capability that stays in the bounding set */
	OP_NO_NEW_PRIVS = 53,
	OP_SECCOMP = 54,    /* program (binary, struct sock_filter[]); several are laid one over the other */
	OP_APPARMOR = 55,   /* profile for exec */
	OP_SELINUX = 57,    /* label for exec */
	OP_SECCOMP_LOG = 56, /* as SECCOMP, and the kernel logs what this program refuses */

	/* Network: done by the host between clone and exec. */
	OP_VETH = 60,       /* host ifname, guest ifname, guest ifindex, guest MAC, host MAC, MTU ("" default), bridge ("" none) */
	OP_ADDRESS = 61,    /* guest ifname, address/prefix (v4 or v6) */
	OP_ROUTE = 62,      /* guest ifname, gateway ("" none), "default" or destination/prefix */
	OP_LINK_UP = 63,    /* guest ifname */

	/* Attach only (RUNDIR/attach also holds NAME NAMESPACES ENV CAPS NO_NEW_PRIVS SECCOMP SECCOMP_LOG APPARMOR SELINUX RLIMIT OOM_SCORE, CGROUP_JOIN for v1). */
	OP_CGROUP_LIKE_INIT = 70, /* cgroup2 mount point, path below it that init's cgroup must start with */

	/* Restore only. The guest's root is shown to criu at SCRATCH; the console's slave is its fd 4. */
	OP_CRIU = 80,         /* argv..., ending in "swrk" "3" */
	OP_CRIU_REQUEST = 81, /* criu_req of criu's images/rpc.proto (binary) */
	OP_CRIU_CGROUP = 82,  /* cgroup v2 directory that criu itself runs in */
	OP_CGROUP_WRITE = 83, /* file, value: written once the restored init is in its cgroup */

	/* Prepared start only (a file beside the container's settings, carried out by the front: prepared.c). First all that must
	 * still be so, then what is made, each in the order of the plan. */
	OP_PREPARED = 90,    /* name of the container, berth-cli that prepared it, berth-launch */
	OP_SAME_FILE = 91,   /* path, "DEVICE INODE SIZE MTIME CTIME" (times in nanoseconds), "-" nothing there or "+" anything; links followed */
	OP_SAME_TEXT = 92,   /* path, what the file says, white space at its end left out */
	OP_NOT_MOUNTED = 93, /* source that no mount may have */
	OP_NFT_TABLE = 94,   /* table of family inet that must be there */
	OP_STATE = 95,       /* what state.json says, what it is to say once the guest runs: one of several, by which the launch is chosen */
	OP_LAUNCH = 96,      /* plan for berth-launch (binary): that of the OP_STATE records before it */
	OP_MAKE_DIR = 97,    /* path, octal mode, "new"|"any": new: must not be there yet */
	OP_WRITE = 98,       /* path, bytes (binary) in one write, "must"|"may": may: no such file is fine */
	OP_CHOWN = 99,       /* path, uid, gid */
	OP_PUT = 100,        /* path, octal mode, content (binary): a file of ours, made or written anew */

	/* Card only (a file beside the container's settings, shown by the front: front_card.c), with SAME_FILE as above. */
	OP_CARD = 101,       /* name of the container, berth-cli that made it as SAME_FILE has it */
	OP_FACTS = 102,      /* state.json without the lines that a start and a stop change */
	OP_CELLS = 103,      /* of `ls`: state when it does not run, address, template, memory and its limit's tail, disk and its limit's tail */
	OP_LIVE = 104,       /* "frozen"|"memory"|"memsw"|"swap"|"cpu-ns"|"cpu-us"|"pids"|"oom"|"oom-guest"|"disk" (no file), file that tells it, what it says when
			      * thawed, or the key of the figure's line ("" where it is alone) */
	OP_FIELD = 105,      /* of `info`: key, what is said without a figure ("" nothing), then text and figure by turns, text last */
};

struct plan_arg {
	const char *data; /* NUL terminated */
	uint32_t len;
};

struct plan_record {
	uint16_t op;
	uint16_t argc;
	struct plan_arg *args;
};

struct plan {
	struct plan_record *records;
	uint32_t count;
	struct plan_arg *pool; /* all arguments; records point into it */
	char *buf;             /* the plan's bytes; arguments point into it */
};

/* Parses size bytes of buf (takes it over: plan_free frees it). Returns 0, or -1 with *why saying what is wrong. */
int plan_parse(char *buf, size_t size, struct plan *out, const char **why);
/* Reads a whole plan from fd. Same result; a read error leaves errno and *why. */
int plan_read(int fd, struct plan *out, const char **why);
void plan_free(struct plan *p);

/* First record of an op, or NULL. */
const struct plan_record *plan_find(const struct plan *p, enum plan_op op);

/* Decimal (or octal) text to number: whole text, no sign, at most max. Returns false on anything else. */
bool plan_u64(const struct plan_arg *a, uint64_t max, uint64_t *out);
bool plan_octal(const struct plan_arg *a, uint32_t max, uint32_t *out);

#endif
