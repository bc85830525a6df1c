/* selfcopy.c - runs this program again from a sealed copy of itself in memory. */
#include "selfcopy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

int sealed_copy(int from, const char *name)
{
	struct stat st;
	if (fstat(from, &st) < 0)
		return fail("sealed-copy", "%s", name);
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
#ifdef MFD_EXEC
	const unsigned exec_flag = MFD_EXEC;
#else
	const unsigned exec_flag = 0x0010; /* Linux 6.3; without it vm.memfd_noexec may take the x bits away */
#endif
	cleanup_fd int copy = memfd_create(name, flags | exec_flag);
	if (copy < 0 && errno == EINVAL)
		copy = memfd_create(name, flags);
	if (copy < 0)
		return fail("sealed-copy", "memfd");
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(copy, from, NULL, (size_t)left);
		if (n <= 0)
			return fail_with(n < 0 ? errno : EIO, "sealed-copy", "copying %s", name);
		left -= n;
	}
	if (fcntl(copy, F_ADD_SEALS, seals) < 0)
		return fail("sealed-copy", "seals");
	return take_fd(&copy);
}

int self_copy(const int keep[2], int argc, char **argv)
{
	cleanup_fd int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0)
		return fail("self-copy", "/proc/self/exe");
	int have = fcntl(self, F_GET_SEALS);
	if (have >= 0 && (have & seals) == seals)
		return 0;
	cleanup_fd int copy = sealed_copy(self, "berth-launch");
	if (copy < 0)
		return -1;
	cleanup_free char **args = calloc((size_t)argc + 2, sizeof *args);
	if (!args)
		return fail("self-copy", "arguments");
	args[0] = "berth-launch";
	memcpy(args + 1, argv, (size_t)argc * sizeof *argv);
	for (int i = 0; i < 2; i++)
		if (keep[i] >= 0 && fcntl(keep[i], F_SETFD, 0) < 0)
			return fail("self-copy", "fd %d", keep[i]);
	(void)fexecve(copy, args, environ);
	return fail("self-copy", "exec");
}
