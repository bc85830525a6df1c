/** Which system calls the profiles refuse and allow, as data; seccomp.ts makes policies of them. */

/** Refused to every guest. */
export const refused = [
  // The host's log, kernel and modules.
  "syslog",
  "kexec_load",
  "kexec_file_load",
  "init_module",
  "finit_module",
  "delete_module",
  "create_module",
  "query_module",
  "get_kernel_syms",
  "lookup_dcookie",
  "nfsservctl",
  "uselib",
  "_sysctl",
  "sysfs",
  // Large attack surfaces that no guest of ours needs.
  "bpf",
  "perf_event_open",
  "userfaultfd",
  "vm86",
  "vm86old",
  "modify_ldt",
  // Quota belongs to berth.
  "quotactl",
  "quotactl_fd",
  // Host wide switches.
  "swapon",
  "swapoff",
  "acct",
  "iopl",
  "ioperm",
  "settimeofday",
  "stime",
  "clock_settime",
  "clock_settime64",
] as const;

/** Answered as a kernel without them would, so that programs go on without. */
export const absent = [
  // CRIU cannot dump an io_uring.
  "io_uring_setup",
  "io_uring_enter",
  "io_uring_register",
  // Keys count against the user of the host; a container engine in a guest takes ENOSYS, and nothing else, for "none here".
  "add_key",
  "keyctl",
  "request_key",
] as const;

/** A guest without a user namespace has the host's rights over these. */
export const refusedPrivileged = [
  "open_by_handle_at",
  "adjtimex",
  "clock_adjtime",
  "clock_adjtime64",
  "file_setattr",
] as const;

/**
 * The mount calls by descriptor pass AppArmor's mount rules by before Linux 6.8; a privileged guest, which those rules
 * hold back, does without them and falls back to mount(2).
 */
export const absentPrivileged = [
  "open_tree",
  "open_tree_attr",
  "move_mount",
  "fsopen",
  "fsconfig",
  "fsmount",
  "fspick",
  "mount_setattr",
] as const;

/**
 * All that profile strict lets through, less what every profile refuses: what Debian's systemd, its services and common
 * servers use. No debugging of other processes, no page placement, no handles, no splicing of user pages; a call that a
 * later kernel brings stays outside.
 */
export const strictAllowed: readonly string[] = `
  accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown chroot clock_getres clock_gettime
  clock_nanosleep clone clone3 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
  epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
  fadvise64 fallocate fanotify_init fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
  fgetxattr file_getattr flistxattr flock fork fremovexattr fsconfig fsetxattr fsmount fsopen fspick fstat fstatfs fsync
  ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_mempolicy get_robust_list getcpu getcwd
  getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
  getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
  getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
  io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr
  lseek lsetxattr lstat madvise membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap
  mount mount_setattr move_mount mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap
  mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open open_tree
  open_tree_attr openat openat2 pause personality pidfd_open pidfd_send_signal pipe pipe2 pivot_root pkey_alloc pkey_free
  pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_madvise process_mrelease pselect6 pwrite64
  pwritev pwritev2 read readahead readlink readlinkat readv reboot recvfrom recvmmsg recvmsg removexattr removexattrat
  rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
  rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
  sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile
  sendmmsg sendmsg sendto set_robust_list set_tid_address setdomainname setfsgid setfsuid setgid setgroups sethostname
  setitimer setns setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr
  setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount
  statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
  timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask
  umount2 uname unlink unlinkat unshare utime utimensat utimes vfork vhangup wait4 waitid write writev
`
  .trim()
  .split(/\s+/);

/** Socket families of profile strict: unix, inet, inet6, netlink, and packet for the DHCP client. */
export const strictFamilies = [1, 2, 10, 16, 17] as const;
