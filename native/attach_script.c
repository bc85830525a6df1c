/* attach_script.c - verb `attach`: a file of the host for the command to read, without a trace of it in the guest: a sealed copy
 * in memory, which cannot be written to, locked against the host, or lead back to where it came from. */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* Above all that the command's fds are put at. */
enum { LOWEST = 16 };

static int copy(int from, int to)
{
	char buf[65536];
	for (;;) {
		ssize_t n = read(from, buf, sizeof buf);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -1 : 0;
		if (write_all(to, buf, (size_t)n) < 0)
			return -1;
	}
}

/* Anyone may read it who can reach it: it is the guest's user, whom the host does not have, that will. */
static int make_memfd(void)
{
#ifdef MFD_NOEXEC_SEAL
	const unsigned noexec = MFD_NOEXEC_SEAL;
#else
	const unsigned noexec = 0x0008; /* Linux 6.3; older ones know no better */
#endif
	int fd = memfd_create("script", MFD_CLOEXEC | MFD_ALLOW_SEALING | noexec);
	return fd < 0 && errno == EINVAL ? memfd_create("script", MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd;
}

int attach_script(struct attach *a)
{
	char path[64];
	cleanup_fd int from = take_fd(&a->script);
	cleanup_fd int made = make_memfd();
	if (made < 0 || copy(from, made) < 0)
		return fail("script", "copying it");
	if (fchmod(made, 0444) < 0 || fcntl(made, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return fail("script", "sealing it");
	snprintf(path, sizeof path, "/proc/self/fd/%d", made);
	cleanup_fd int reader = open(path, O_RDONLY | O_CLOEXEC);
	a->script = reader < 0 ? -1 : fcntl(reader, F_DUPFD_CLOEXEC, LOWEST);
	return a->script < 0 ? fail("script", "opening its copy") : 0;
}
