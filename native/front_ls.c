/* front_ls.c - `berth ls` without berth-cli, from the containers' cards. What is not plain (something under way, broken, mounted,
 * above a soft limit, described, a pool whose disk is watched) is left to berth-cli, which also leaves the cards that are
 * missing here. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "front.h"
#include "front_card.h"
#include "front_text.h"
#include "util.h"

enum { COLUMNS = 8, NAMES_MAX = 100000 };

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

/* Figures of one that has just ended, or that the kernel does not count, are berth-cli's. */
static bool fill_running(struct row *row, const struct card *c, const struct now *now, const struct plan_arg *cells)
{
	uint64_t memory, pids, disk;
	char figure[TEXT_FIGURE];
	if (!card_figure(c, "memory", &memory) || !card_figure(c, "pids", &pids))
		return false;
	row->colour = c->frozen ? "34" : "32";
	text_size(figure, memory);
	bool good = card_put(row->cells[1], c->frozen ? "frozen" : "running", "") && card_put(row->cells[4], figure, cells[MEMORY_TAIL].data);
	if (card_counts_disk(c)) {
		if (!card_figure(c, "disk", &disk))
			return false;
		text_size(figure, disk);
		good = good && card_put(row->cells[5], figure, cells[DISK_TAIL].data);
	}
	snprintf(row->cells[6], CELL, "%" PRIu64, pids);
	text_duration(figure, card_uptime(c, now));
	return good && card_put(row->cells[7], figure, "");
}

static bool fill(struct row *row, const struct now *now)
{
	struct card c;
	const struct plan_record *r = card_read(&c, now, row->name) ? plan_find(&c.plan, OP_CELLS) : NULL;
	bool good = r;
	if (r) {
		const struct plan_arg *cells = r->args;
		row->colour = "2";
		good = card_put(row->cells[0], row->name, "") && card_put(row->cells[1], cells[STOPPED].data, "") &&
		       card_put(row->cells[2], cells[ADDRESS].data, "") && card_put(row->cells[3], cells[TEMPLATE].data, "") &&
		       card_put(row->cells[4], cells[MEMORY_IDLE].data, "") && card_put(row->cells[5], cells[DISK_IDLE].data, "") &&
		       (!c.guest.running || fill_running(row, &c, now, cells));
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
		(void)card_put(header.cells[i], columns[i].title, "");
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

int front_ls(const char *cli)
{
	struct now now;
	struct front_paths paths;
	char containers[PATH_MAX];
	size_t count;
	if (!card_begin(&now, &paths, cli) || !front_join(containers, paths.lib, "containers"))
		return -1;
	cleanup_free struct row *rows = find_rows(containers, &count);
	if (!rows)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (!fill(&rows[i], &now) || (i > 0 && by_name(&rows[i - 1], &rows[i]) == 0))
			return -1;
	print_table(rows, count);
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
