/* front_show.c - `berth ls` and `berth info NAME` without berth-cli, from the containers' cards. What is not plain (something
 * under way, broken, mounted, above a soft limit, described, a pool whose disk is watched) is left to berth-cli, which also
 * leaves the cards that are missing here. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front.h"
#include "front_card.h"
#include "front_text.h"
#include "prepared.h"
#include "util.h"

enum { COLUMNS = 8, CELL = 128, NAMES_MAX = 100000, PLAN_FIGURES = 6 };

struct row {
	char name[64];
	char cells[COLUMNS][CELL];
	const char *colour; /* of the state */
};

static const struct {
	const char *title;
	bool right;
} columns[COLUMNS] = {{"NAME", false},  {"STATE", false}, {"ADDRESS", false}, {"TEMPLATE", false},
		      {"MEMORY", true}, {"DISK", true},   {"PIDS", true},     {"UPTIME", true}};

enum { STOPPED, ADDRESS, TEMPLATE, MEMORY_IDLE, MEMORY_TAIL, DISK_IDLE, DISK_TAIL }; /* of OP_CELLS */

static bool put(char cell[CELL], const char *first, const char *second)
{
	int n = snprintf(cell, CELL, "%s%s", first, second);
	return n >= 0 && n < CELL;
}

/* Figures of one that has just ended, or that the kernel does not count, are berth-cli's. */
static bool fill_running(struct row *row, const struct card *c, const struct now *now, const struct plan_arg *cells)
{
	uint64_t memory, pids, disk;
	char figure[TEXT_FIGURE];
	if (!card_figure(c, "memory", &memory) || !card_figure(c, "pids", &pids))
		return false;
	row->colour = c->frozen ? "34" : "32";
	text_size(figure, memory);
	bool good = put(row->cells[1], c->frozen ? "frozen" : "running", "") && put(row->cells[4], figure, cells[MEMORY_TAIL].data);
	if (card_counts_disk(c)) {
		if (!card_figure(c, "disk", &disk))
			return false;
		text_size(figure, disk);
		good = good && put(row->cells[5], figure, cells[DISK_TAIL].data);
	}
	snprintf(row->cells[6], CELL, "%" PRIu64, pids);
	text_duration(figure, card_uptime(c, now));
	return good && put(row->cells[7], figure, "");
}

static bool fill(struct row *row, const struct now *now)
{
	struct card c;
	const struct plan_record *r = card_read(&c, now, row->name) ? plan_find(&c.plan, OP_CELLS) : NULL;
	bool good = r;
	if (r) {
		const struct plan_arg *cells = r->args;
		row->colour = "2";
		good = put(row->cells[0], row->name, "") && put(row->cells[1], cells[STOPPED].data, "") &&
		       put(row->cells[2], cells[ADDRESS].data, "") && put(row->cells[3], cells[TEMPLATE].data, "") &&
		       put(row->cells[4], cells[MEMORY_IDLE].data, "") && put(row->cells[5], cells[DISK_IDLE].data, "") &&
		       (!c.running || fill_running(row, &c, now, cells));
	}
	card_free(&c);
	return good;
}

static int by_name(const void *a, const void *b)
{
	return text_order(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* All of them, by name. NULL when there are none, or this is berth-cli's. */
static struct row *find_rows(const char *containers, size_t *count)
{
	__attribute__((cleanup(close_dir))) DIR *dir = opendir(containers);
	struct row *rows = NULL;
	size_t room = 0;
	*count = 0;
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (!front_is_name(e->d_name))
			continue;
		if (*count == room) {
			room = room ? room * 2 : 64;
			struct row *more = room > NAMES_MAX ? NULL : realloc(rows, room * sizeof *rows);
			if (!more) {
				free(rows);
				return NULL;
			}
			rows = more;
		}
		rows[*count] = (struct row){0};
		memcpy(rows[(*count)++].name, e->d_name, strlen(e->d_name) + 1); /* a name is that short */
	}
	if (rows)
		qsort(rows, *count, sizeof *rows, by_name);
	return rows;
}

static void print_row(const struct row *row, const size_t widths[COLUMNS], bool coloured)
{
	char line[COLUMNS * (CELL + 16)];
	size_t used = 0;
	for (int i = 0; i < COLUMNS; i++) {
		const char *cell = *row->cells[i] ? row->cells[i] : "-";
		int width = (int)widths[i];
		bool here = coloured && row->colour && i == 1;
		used += (size_t)snprintf(line + used, sizeof line - used, "%s%s%s%s%*s%s", i ? "  " : "", here ? "\033[" : "",
					 here ? row->colour : "", here ? "m" : "", columns[i].right ? width : -width, cell, here ? "\033[0m" : "");
	}
	while (used > 0 && line[used - 1] == ' ')
		used--;
	printf("%.*s\n", (int)used, line);
}

static void print_table(const struct row *rows, size_t count)
{
	struct winsize size;
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	bool coloured = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
	size_t widths[COLUMNS];
	struct row header = {0};
	for (int i = 0; i < COLUMNS; i++) {
		(void)put(header.cells[i], columns[i].title, "");
		widths[i] = strlen(columns[i].title);
		for (size_t r = 0; r < count; r++) {
			size_t length = strlen(rows[r].cells[i]);
			widths[i] = length > widths[i] ? length : widths[i];
		}
	}
	print_row(&header, widths, false);
	for (size_t r = 0; r < count; r++)
		print_row(&rows[r], widths, coloured);
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

static bool begin(struct now *now, struct front_paths *paths, const char *cli)
{
	return front_may() && front_paths(paths, ".") && is_plain_host(paths->lib, paths->run) && card_now(now, cli);
}

int front_ls(const char *cli)
{
	struct now now;
	struct front_paths paths;
	char containers[PATH_MAX];
	size_t count;
	if (!begin(&now, &paths, cli) || !front_join(containers, paths.lib, "containers"))
		return -1;
	cleanup_free struct row *rows = find_rows(containers, &count);
	if (!rows)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (!fill(&rows[i], &now) || (i > 0 && by_name(&rows[i - 1], &rows[i]) == 0))
			return -1;
	print_table(rows, count);
	return 0;
}

/* The text of a figure; false when it is berth-cli's to say. *there tells whether there is one. */
static bool figure_text(const struct card *c, const struct now *now, const char *which, char out[CELL], bool *there)
{
	uint64_t value = 0, other = 0;
	char figure[TEXT_FIGURE];
	*there = true;
	if (strcmp(which, "pid") == 0)
		return snprintf(out, CELL, "%d", c->pid) > 0;
	if (strcmp(which, "uptime") == 0) {
		text_duration(figure, card_uptime(c, now));
		return put(out, figure, "");
	}
	if (strcmp(which, "swap") == 0 && card_figure(c, "memsw", &other)) {
		*there = card_figure(c, "memory", &value);
		value = other > value ? other - value : 0;
	} else {
		*there = card_figure(c, which, &value);
	}
	if (strncmp(which, "cpu-", 4) == 0)
		text_hundredths(figure, value, strcmp(which, "cpu-ns") == 0 ? 1000000000 : 1000000);
	else if (strcmp(which, "pids") == 0 || strncmp(which, "inodes", 6) == 0)
		snprintf(figure, sizeof figure, "%" PRIu64, value);
	else
		text_size(figure, value);
	return put(out, figure, "");
}

static bool was_oom(const struct card *c)
{
	uint64_t kills, inside;
	return (card_figure(c, "oom", &kills) && kills > 0) || (card_figure(c, "oom-guest", &inside) && inside > 0);
}

/* Keys are as wide as the longest one and its colon, and two more. */
static size_t key_width(const struct plan *p)
{
	size_t width = 0;
	for (uint32_t i = 0; i < p->count; i++)
		if (p->records[i].op == OP_FIELD && p->records[i].args[0].len > width)
			width = p->records[i].args[0].len;
	return width + 2;
}

/* Text and figure by turns. Where the kernel has no such figure something else is said, or this is berth-cli's. */
static bool write_value(const struct card *c, const struct now *now, const struct plan_record *r, FILE *out)
{
	char figures[PLAN_FIGURES][CELL];
	size_t count = 0;
	for (uint16_t i = 3; i < r->argc && count < PLAN_FIGURES; i = (uint16_t)(i + 2)) {
		bool there = true;
		if (!figure_text(c, now, r->args[i].data, figures[count++], &there))
			return false;
		if (!there)
			return *r->args[1].data && fputs(r->args[1].data, out) >= 0;
	}
	bool good = fputs(r->args[2].data, out) >= 0;
	for (size_t i = 0; i < count; i++)
		good = good && fputs(figures[i], out) >= 0 && (4 + 2 * i >= r->argc || fputs(r->args[4 + 2 * i].data, out) >= 0);
	return good;
}

static bool write_fields(const struct card *c, const struct now *now, FILE *out)
{
	int width = (int)key_width(&c->plan);
	bool good = plan_find(&c->plan, OP_FIELD);
	for (uint32_t i = 0; i < c->plan.count && good; i++) {
		const struct plan_record *r = &c->plan.records[i];
		char key[CELL];
		if (r->op == OP_FIELD)
			good = put(key, r->args[0].data, ":") && fprintf(out, "%-*s", width, key) > 0 && write_value(c, now, r, out) &&
			       fputc('\n', out) != EOF;
	}
	return good;
}

/* Into memory first: nothing may be printed of what is left to berth-cli. */
int front_info(const char *name, const char *cli)
{
	struct now now;
	struct card c = {0};
	struct front_paths paths;
	char *text = NULL;
	size_t size = 0;
	int result = -1;
	if (!begin(&now, &paths, cli) || !card_read(&c, &now, name) || !c.running || c.frozen || was_oom(&c)) {
		card_free(&c);
		return -1;
	}
	FILE *out = open_memstream(&text, &size);
	bool good = out && write_fields(&c, &now, out);
	if (out && fclose(out) == 0 && good)
		result = fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : EXIT_FAILURE;
	free(text);
	card_free(&c);
	return result;
}
