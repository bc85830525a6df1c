/* passwd.c - the guest's users and groups. Foreign bytes: every field is bounded. Fuzzed by test/fuzz_passwd.c. */
#include "passwd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* A stretch of a line; not NUL-terminated. */
struct field {
	const char *data;
	size_t len;
};

/* Cuts the next line off text. Returns false at the end. */
static bool next_line(struct field *rest, struct field *line)
{
	if (rest->len == 0)
		return false;
	const char *end = memchr(rest->data, '\n', rest->len);
	size_t len = end ? (size_t)(end - rest->data) : rest->len;
	*line = (struct field){rest->data, len};
	size_t used = end ? len + 1 : len;
	rest->data += used;
	rest->len -= used;
	return true;
}

/* Splits at a separator into at most max fields; the last one takes what is left. Returns how many there are. */
static size_t split(struct field line, char separator, struct field *out, size_t max)
{
	size_t n = 0;
	while (n < max) {
		const char *end = n + 1 < max ? memchr(line.data, separator, line.len) : NULL;
		if (!end) {
			out[n++] = line;
			break;
		}
		size_t len = (size_t)(end - line.data);
		out[n++] = (struct field){line.data, len};
		line.data = end + 1;
		line.len -= len + 1;
	}
	return n;
}

static bool equals(struct field f, const char *text)
{
	return f.len == strlen(text) && memcmp(f.data, text, f.len) == 0;
}

/* A field as a C string; false when it does not fit or holds a NUL. */
static bool copy(struct field f, char *to, size_t size)
{
	if (f.len >= size || memchr(f.data, '\0', f.len))
		return false;
	memcpy(to, f.data, f.len);
	to[f.len] = '\0';
	return true;
}

bool passwd_id(const char *text, size_t len, uint32_t *out)
{
	uint64_t v = 0;
	if (len == 0 || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(text[i] - '0');
	}
	if (v >= UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

/* name:password:uid:gid:comment:home:shell, the empty home and shell meaning what passwd(5) says. */
static bool parse_entry(struct field line, struct passwd_entry *out)
{
	struct field f[8];
	if (split(line, ':', f, 8) != 7 || f[0].len == 0)
		return false;
	if (!copy(f[0], out->name, sizeof out->name) || !passwd_id(f[2].data, f[2].len, &out->uid) ||
	    !passwd_id(f[3].data, f[3].len, &out->gid) || !copy(f[5], out->home, sizeof out->home) ||
	    !copy(f[6], out->shell, sizeof out->shell))
		return false;
	if (out->home[0] != '/')
		strcpy(out->home, "/");
	if (out->shell[0] != '/')
		strcpy(out->shell, "/bin/sh");
	return true;
}

bool passwd_by_name(const char *text, size_t len, const char *name, struct passwd_entry *out)
{
	struct field rest = {text, len}, line;
	while (next_line(&rest, &line))
		if (parse_entry(line, out) && strcmp(out->name, name) == 0)
			return true;
	return false;
}

bool passwd_by_uid(const char *text, size_t len, uint32_t uid, struct passwd_entry *out)
{
	struct field rest = {text, len}, line;
	while (next_line(&rest, &line))
		if (parse_entry(line, out) && out->uid == uid)
			return true;
	return false;
}

static bool lists(struct field members, const char *name)
{
	struct field part[2];
	for (size_t n = 2; n == 2; members = part[1]) {
		n = split(members, ',', part, 2);
		if (part[0].len > 0 && equals(part[0], name))
			return true;
		if (n < 2)
			return false;
	}
	return false;
}

int group_ids(const char *text, size_t len, const char *name, uint32_t *ids, size_t max)
{
	struct field rest = {text, len}, line, f[4];
	size_t count = 0;
	while (next_line(&rest, &line)) {
		uint32_t gid;
		if (split(line, ':', f, 4) != 4 || !passwd_id(f[2].data, f[2].len, &gid) || !lists(f[3], name))
			continue;
		size_t i = 0;
		while (i < count && ids[i] != gid)
			i++;
		if (i < count)
			continue;
		if (count == max)
			return -1;
		ids[count++] = gid;
	}
	return (int)count;
}

/* Reads a plain file of the guest. An absent one is empty; anything that is not a regular file of at most 1 MiB is refused:
 * a fifo would hang, a link could lead into /proc. O_NONBLOCK so that a fifo does not even hang the open. */
static int guest_file(const char *path, char **out, size_t *len)
{
	*out = NULL;
	*len = 0;
	cleanup_fd int fd = open_in_root(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : fail("user", "/%s of the guest cannot be opened", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fail("user", "/%s of the guest", path);
	if (!S_ISREG(st.st_mode))
		return fail_with(EINVAL, "user", "/%s of the guest is not a regular file", path);
	if (st.st_size > PASSWD_MAX_FILE)
		return fail_with(EFBIG, "user", "/%s of the guest is larger than 1 MiB", path);
	size_t room = (size_t)st.st_size;
	cleanup_free char *buf = malloc(room + 1);
	if (!buf)
		return fail("user", "/%s of the guest", path);
	size_t used = 0;
	while (used < room) {
		ssize_t n = read(fd, buf + used, room - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail("user", "/%s of the guest cannot be read", path);
		if (n == 0)
			break;
		used += (size_t)n;
	}
	*out = buf;
	buf = NULL;
	*len = used;
	return 0;
}

static int add_groups(struct user *u)
{
	cleanup_free char *text = NULL;
	size_t len;
	if (guest_file("etc/group", &text, &len) < 0)
		return -1;
	int n = text ? group_ids(text, len, u->entry.name, u->groups, PASSWD_MAX_GROUPS) : 0;
	if (n < 0)
		return fail_with(E2BIG, "user", "%s is in more than %d groups", u->entry.name, PASSWD_MAX_GROUPS);
	u->group_count = (size_t)n;
	return 0;
}

int user_resolve(const char *spec, struct user *out)
{
	const char *colon = spec ? strchr(spec, ':') : NULL;
	size_t head = spec ? (colon ? (size_t)(colon - spec) : strlen(spec)) : 0;
	uint32_t uid = 0, gid = 0;
	bool numeric = !spec || passwd_id(spec, head, &uid);
	if ((colon && (!numeric || !passwd_id(colon + 1, strlen(colon + 1), &gid))) || (!numeric && head == 0))
		return fail_with(EINVAL, "user", "\"%s\" is neither NAME nor UID[:GID]", spec);

	cleanup_free char *text = NULL;
	size_t len;
	if (guest_file("etc/passwd", &text, &len) < 0)
		return -1;
	out->group_count = 0;
	bool found = text && (numeric ? passwd_by_uid(text, len, uid, &out->entry) : passwd_by_name(text, len, spec, &out->entry));
	if (!found && !numeric)
		return fail_with(0, "user", "the guest's /etc/passwd has no user \"%s\"", spec);
	if (!found && uid != 0 && !colon)
		return fail_with(ENOENT, "user", "the guest's /etc/passwd has no uid %u: give UID:GID", uid);
	if (!found)
		out->entry = (struct passwd_entry){.uid = uid, .home = "/", .shell = "/bin/sh"};
	if (!found && uid == 0) {
		strcpy(out->entry.name, "root");
		strcpy(out->entry.home, "/root");
	}
	if (colon) {
		out->entry.gid = gid;
		return 0;
	}
	return found ? add_groups(out) : 0;
}
