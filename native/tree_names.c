/* tree_names.c - the names in a directory, and removing what lies below one. */
#include "tree_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

enum { DENTS_SIZE = 64 * 1024 };

void names_free(struct names *n)
{
	free(n->text);
	free(n->at);
	*n = (struct names){0};
}

/* At least need elements of size; doubles, so that adding stays cheap. */
static void *grown(void *old, size_t *room, size_t need, size_t size)
{
	size_t want = *room ? *room : 64;
	while (want < need)
		want *= 2;
	void *p = reallocarray(old, want, size);
	if (p)
		*room = want;
	return p;
}

static int add_name(struct names *n, const char *name)
{
	size_t len = strlen(name) + 1;
	if (n->used + len > UINT32_MAX)
		return fail_with(ENOMEM, "list", "a directory with too many names");
	if (!n->text || n->used + len > n->room) {
		char *text = grown(n->text, &n->room, n->used + len, 1);
		if (!text)
			return fail("list", "memory");
		n->text = text;
	}
	if (!n->at || n->count == n->slots) {
		uint32_t *at = grown(n->at, &n->slots, n->count + 1, sizeof *at);
		if (!at)
			return fail("list", "memory");
		n->at = at;
	}
	memcpy(n->text + n->used, name, len);
	n->at[n->count++] = (uint32_t)n->used;
	n->used += len;
	return 0;
}

int names_read(struct names *n, int dir)
{
	static _Alignas(struct dirent64) char buf[DENTS_SIZE];
	n->used = n->count = 0;
	if (lseek(dir, 0, SEEK_SET) < 0)
		return fail("list", "rewind");
	for (;;) {
		ssize_t got = getdents64(dir, buf, sizeof buf);
		if (got < 0 && errno == ENOENT) /* the directory itself was removed meanwhile */
			return 0;
		if (got < 0)
			return fail("list", "directory");
		if (got == 0)
			return 0;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *d = (const struct dirent64 *)(const void *)(buf + at);
			at += d->d_reclen;
			if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && add_name(n, d->d_name) < 0)
				return -1;
		}
	}
}

static int by_bytes(const void *a, const void *b, void *text)
{
	const uint32_t *x = a, *y = b;
	return strcmp((const char *)text + *x, (const char *)text + *y);
}

void names_sort(struct names *n, size_t count)
{
	if (count > 1)
		qsort_r(n->at, count, sizeof *n->at, by_bytes, n->text);
}

static int open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? fail("remove", "%s", name) : fd;
}

/* Puts a directory that lies deeper into top, under a name that is free there. */
static int lift(int dir, const char *name, int top, uint64_t *serial)
{
	char fresh[24];
	int result;
	do {
		snprintf(fresh, sizeof fresh, "%" PRIu64, (*serial)++);
		result = renameat2(dir, name, top, fresh, RENAME_NOREPLACE);
	} while (result < 0 && errno == EEXIST);
	return result < 0 ? fail("remove", "%s", name) : 0;
}

/* Removes directory name of top; directories in it become top's. */
static int flatten(int top, const char *name, uint64_t *serial)
{
	cleanup_fd int dir = open_dir(top, name);
	cleanup_names struct names inside = {0};
	if (dir < 0 || names_read(&inside, dir) < 0)
		return -1;
	for (size_t i = 0; i < inside.count; i++) {
		const char *one = names_get(&inside, i);
		if (unlinkat(dir, one, 0) == 0)
			continue;
		if (errno != EISDIR)
			return fail("remove", "%s", one);
		if (lift(dir, one, top, serial) < 0)
			return -1;
	}
	return unlinkat(top, name, AT_REMOVEDIR) < 0 ? fail("remove", "%s", name) : 0;
}

static int empty_directory(int dir)
{
	uint64_t serial = 0;
	cleanup_names struct names found = {0};
	for (;;) {
		if (names_read(&found, dir) < 0)
			return -1;
		if (found.count == 0)
			return 0;
		for (size_t i = 0; i < found.count; i++) {
			const char *one = names_get(&found, i);
			if (unlinkat(dir, one, 0) == 0)
				continue;
			if (errno != EISDIR)
				return fail("remove", "%s", one);
			if (flatten(dir, one, &serial) < 0)
				return -1;
		}
	}
}

int remove_entry(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return fail("remove", "%s", name);
	cleanup_fd int below = open_dir(dir, name);
	if (below < 0 || empty_directory(below) < 0)
		return -1;
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? fail("remove", "%s", name) : 0;
}
