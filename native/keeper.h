/* keeper.h - what the keeper leaves in RUNDIR and speaks on RUNDIR/keeper.sock. Versioned: keepers outlive upgrades.
 *
 * RUNDIR/init    "1 PID STARTTIME KEEPER_PID KEEPER_STARTTIME BOOT_ID\n"; start times are field 22 of
 *                /proc/PID/stat (clock ticks), BOOT_ID is /proc/sys/kernel/random/boot_id. Written before
 *                init is let go, removed when the guest has ended and everything of it is released.
 * RUNDIR/loop    "1 /dev/loopN MAJOR:MINOR INODE\n" a line per loop device (device and inode of the image).
 * RUNDIR/exit    one JSON object: {"version":1,"pid":N,"code":N|null,"signal":N|null,
 *                "kind":"exit"|"halt"|"reboot"|"killed"|"unknown","oomKills":N,"time":MILLISECONDS SINCE 1970}.
 *                kind: exit = init returned; halt, reboot = the guest asked the kernel (init then dies by
 *                SIGINT, SIGHUP: reboot(2) in a pid namespace); killed = any other signal; unknown = an adopted
 *                guest's init, of which the kernel does not tell how it ended.
 * RUNDIR/attach  a plan for `berth-launch attach`, written by TypeScript.
 * RUNDIR/lock... is not here: the lock file of a container lives outside its RUNDIR and comes in on fd 3.
 *
 * Socket (SOCK_STREAM, mode 0600): the client sends 8 bytes: "BKP" '1', u32 little endian KEEPER_OP_*.
 * Then frames both ways: u8 type, u8 zero, u16 little endian length, payload. Unknown types are ignored.
 */
#ifndef BERTH_KEEPER_H
#define BERTH_KEEPER_H

enum { KEEPER_VERSION = 1 };

enum keeper_op {
	KEEPER_CONSOLE = 1, /* what was printed lately, then the live console */
	KEEPER_WAIT = 2,    /* nothing but EXIT when init has died, then GONE when all is released */
};

enum keeper_frame {
	FRAME_DATA = 1,    /* console bytes, both ways */
	FRAME_WINSIZE = 2, /* client: u16 rows, u16 columns */
	FRAME_EXIT = 3,    /* keeper: the exit record, once init has been reaped and its mounts are gone */
	FRAME_GONE = 4,    /* keeper: cgroups and records are removed (after it got the container's lock) */
};

#endif
