/* front_card.c - the card of a container, checked against what it was made from; its processes; its figures. */
#include "front_card.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "prepared.h"
#include "util.h"

enum { STATE_MAX = 65536, FIGURES_MAX = 4096 };

static bool read_now(struct now *now, const char *cli)
{
	char text[64];
	uint64_t seconds, hundredths;
	if (read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", now->boot, sizeof now->boot) < 0 ||
	    read_file_at(AT_FDCWD, "/proc/uptime", text, sizeof text) < 0 ||
	    sscanf(text, "%" SCNu64 ".%2" SCNu64 " ", &seconds, &hundredths) != 2)
		return false;
	now->hundredths = seconds * 100 + hundredths;
	return prepared_stamp(cli, now->cli, sizeof now->cli);
}

/* Whether the host has what berth-cli looks at beside containers: pools whose disks it watches, and roots that are mounted. */
static bool is_plain_host(const char *lib, const char *run)
{
	static const char *const drivers[] = {"plain", "image", "project", "btrfs"};
	char path[PATH_MAX];
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		int n = snprintf(path, sizeof path, "%s/pool/%s.json", lib, drivers[i]);
		if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) == 0)
			return false;
		n = snprintf(path, sizeof path, "%s/.disk-fails-%s", run, drivers[i]);
		struct stat st;
		if (n < 0 || (size_t)n >= sizeof path || lstat(path, &st) == 0)
			return false;
	}
	return !prepared_mounted(" berth:");
}

bool card_begin(struct now *now, struct front_paths *paths, const char *cli)
{
	return front_may() && front_paths(paths, ".") && is_plain_host(paths->lib, paths->run) && read_now(now, cli);
}

bool card_put(char cell[CELL], const char *first, const char *second)
{
	int n = snprintf(cell, CELL, "%s%s", first, second);
	return n >= 0 && n < CELL;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* As src/container/card.ts leaves lines out. */
static bool changes(const char *line)
{
	return begins(line, "  \"shouldRun\": ") || begins(line, "  \"identity\": ");
}

static bool same_facts(const char *state, const char *facts)
{
	while (*state) {
		size_t length = strcspn(state, "\n");
		length += state[length] == '\n';
		if (!changes(state)) {
			if (strncmp(state, facts, length) != 0)
				return false;
			facts += length;
		}
		state += length;
	}
	return *facts == '\0';
}

/* The directory says what its files no longer do: nothing is under way, and what the card was made from is as it was. */
static bool holds(const struct card *c, const struct now *now, const char *home)
{
	static char state[STATE_MAX];
	const struct plan_record *r = plan_find(&c->plan, OP_CARD), *facts = plan_find(&c->plan, OP_FACTS);
	cleanup_fd int dir = open(home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return r && facts && dir >= 0 && strcmp(r->args[0].data, c->name) == 0 &&
	       strcmp(r->args[1].data, now->cli) == 0 && faccessat(dir, "intent.json", F_OK, 0) < 0 && prepared_holds(&c->plan) &&
	       read_file_at(dir, "state.json", state, sizeof state) > 0 && same_facts(state, facts->args[0].data);
}

static const struct plan_record *live(const struct card *c, const char *which)
{
	for (uint32_t i = 0; i < c->plan.count; i++)
		if (c->plan.records[i].op == OP_LIVE && strcmp(c->plan.records[i].args[0].data, which) == 0)
			return &c->plan.records[i];
	return NULL;
}

static bool find_frozen(struct card *c)
{
	char text[64];
	const struct plan_record *r = live(c, "frozen");
	if (!r || read_file_at(AT_FDCWD, r->args[1].data, text, sizeof text) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	c->frozen = strcmp(text, r->args[2].data) != 0;
	return true;
}

bool card_read(struct card *c, const struct now *now, const char *name)
{
	struct front_paths paths;
	char file[PATH_MAX];
	*c = (struct card){0};
	if (!front_is_name(name) || !front_paths(&paths, name) || !front_join(file, paths.home, "card") || !prepared_read(file, &c->plan))
		return false;
	snprintf(c->name, sizeof c->name, "%s", name);
	memcpy(c->rundir, paths.rundir, sizeof c->rundir);
	return holds(c, now, paths.home) && front_find_guest(c->rundir, now->boot, &c->guest) && (!c->guest.running || find_frozen(c));
}

void card_free(struct card *c)
{
	plan_free(&c->plan);
}

bool card_counts_disk(const struct card *c)
{
	return live(c, "disk");
}

/* The guest's root as its own `df` sees it. The path ends at a link that the kernel makes: nothing of the guest is followed. */
static bool disk_figure(const struct card *c, const char *which, uint64_t *out)
{
	char path[64];
	struct statvfs st;
	if (!card_counts_disk(c))
		return false;
	snprintf(path, sizeof path, "/proc/%d/root", c->guest.pid);
	if (statvfs(path, &st) < 0)
		return false;
	if (strcmp(which, "disk") == 0)
		*out = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_bsize;
	else
		*out = strcmp(which, "inodes") == 0 ? st.f_files - st.f_ffree : st.f_files;
	return true;
}

static bool number_in(const char *text, const char *key, uint64_t *out)
{
	size_t length = strlen(key);
	while (length > 0 && !(strncmp(text, key, length) == 0 && text[length] == ' ')) {
		text += strcspn(text, "\n");
		if (*text++ == '\0')
			return false;
	}
	char *end;
	text += length > 0 ? length + 1 : 0;
	*out = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && (*end == '\n' || *end == '\0');
}

bool card_figure(const struct card *c, const char *which, uint64_t *out)
{
	char text[FIGURES_MAX];
	const struct plan_record *r = live(c, which);
	if (begins(which, "disk") || begins(which, "inodes"))
		return disk_figure(c, which, out);
	return r && read_file_at(AT_FDCWD, r->args[1].data, text, sizeof text) > 0 && number_in(text, r->args[2].data, out);
}

uint64_t card_uptime(const struct card *c, const struct now *now)
{
	return now->hundredths > c->guest.ticks ? (now->hundredths - c->guest.ticks) / 100 : 0;
}
