/* tree_table.c - which entry of the destination an inode of the source became, and what it was like then. */
#include "tree_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

union handle {
	struct file_handle h;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

void table_free(struct table *t)
{
	free(t->slots);
	free(t->owners);
	free(t->handles);
	*t = (struct table){0};
}

static size_t place(uint64_t ino, size_t size)
{
	return (ino * 0x9e3779b97f4a7c15ULL) >> 20 & (size - 1);
}

/* The slot of ino, or the free one where it would be. size is a power of two and never full. */
static struct known *slot_of(struct known *slots, size_t size, uint64_t ino)
{
	size_t i = place(ino, size);
	while (slots[i].ino != 0 && slots[i].ino != ino)
		i = (i + 1) & (size - 1);
	return &slots[i];
}

struct known *table_find(const struct table *t, uint64_t ino)
{
	struct known *k = t->size ? slot_of(t->slots, t->size, ino) : NULL;
	return k && k->ino != 0 ? k : NULL;
}

static int make_room(struct table *t)
{
	if (t->size && t->used < t->size - t->size / 4)
		return 0;
	size_t size = t->size ? t->size * 2 : 1024;
	struct known *slots = calloc(size, sizeof *slots);
	if (!slots)
		return fail("table", "memory");
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].ino != 0)
			*slot_of(slots, size, t->slots[i].ino) = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->size = size;
	return 0;
}

struct known *table_add(struct table *t, uint64_t ino)
{
	if (make_room(t) < 0)
		return NULL;
	struct known *k = slot_of(t->slots, t->size, ino);
	if (k->ino == 0) {
		k->ino = ino;
		t->used++;
	}
	return k;
}

static struct owner *owner_of(struct owner *owners, size_t size, uint64_t dst_ino)
{
	size_t i = place(dst_ino, size);
	while (owners[i].dst_ino != 0 && owners[i].dst_ino != dst_ino)
		i = (i + 1) & (size - 1);
	return &owners[i];
}

static int make_owner_room(struct table *t)
{
	if (t->owners_size && t->owners_used < t->owners_size - t->owners_size / 4)
		return 0;
	size_t size = t->owners_size ? t->owners_size * 2 : 1024;
	struct owner *owners = calloc(size, sizeof *owners);
	if (!owners)
		return fail("table", "memory");
	for (size_t i = 0; i < t->owners_size; i++)
		if (t->owners[i].dst_ino != 0)
			*owner_of(owners, size, t->owners[i].dst_ino) = t->owners[i];
	free(t->owners);
	t->owners = owners;
	t->owners_size = size;
	return 0;
}

int table_bind(struct table *t, struct known *k, uint64_t dst_ino, bool made)
{
	if (make_owner_room(t) < 0)
		return -1;
	struct owner *o = owner_of(t->owners, t->owners_size, dst_ino);
	t->owners_used += o->dst_ino == 0;
	*o = (struct owner){dst_ino, k->ino};
	if (made || k->dst_ino != dst_ino)
		k->handle = 0;
	k->dst_ino = dst_ino;
	return 0;
}

const struct known *table_bound(const struct table *t, uint64_t ino, uint64_t dst_ino)
{
	const struct known *k = table_find(t, ino);
	if (!k || k->dst_ino != dst_ino || !t->owners_size)
		return NULL;
	return owner_of(t->owners, t->owners_size, dst_ino)->ino == ino ? k : NULL;
}

int table_keep_handle(struct table *t, struct known *k, int fd)
{
	union handle u = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount;
	if (name_to_handle_at(fd, "", &u.h, &mount, AT_EMPTY_PATH) < 0)
		return fail("handle", "the destination's file system");
	size_t len = sizeof u.h + u.h.handle_bytes;
	if (t->handles_used + len > UINT32_MAX)
		return fail_with(ENOMEM, "handle", "too many hard links");
	if (t->handles_used + len + 1 > t->handles_room) {
		size_t room = (t->handles_room ? t->handles_room * 2 : 4096) + len;
		unsigned char *more = realloc(t->handles, room);
		if (!more)
			return fail("handle", "memory");
		t->handles = more;
		t->handles_room = room;
	}
	if (t->handles_used == 0)
		t->handles_used = 1; /* 0 means none */
	memcpy(t->handles + t->handles_used, &u, len);
	k->handle = (uint32_t)t->handles_used;
	t->handles_used += len;
	return 0;
}

int table_open_handle(const struct table *t, const struct known *k, int mount)
{
	union handle u;
	memcpy(&u.h, t->handles + k->handle, sizeof u.h);
	memcpy(u.h.f_handle, t->handles + k->handle + sizeof u.h, u.h.handle_bytes);
	return open_by_handle_at(mount, &u.h, O_PATH | O_CLOEXEC);
}
