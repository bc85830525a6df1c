/* front_info.c - `berth info NAME` of a guest that runs, without berth-cli: the fields of its card with the kernel's figures. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "front_card.h"
#include "front_text.h"

enum { FIGURES = 6 }; /* at most in one field (plan.c) */

/* The text of a figure; false when it is berth-cli's to say. *there tells whether there is one. */
static bool figure_text(const struct card *c, const struct now *now, const char *which, char out[CELL], bool *there)
{
	uint64_t value = 0, other = 0;
	char figure[TEXT_FIGURE];
	*there = true;
	if (strcmp(which, "pid") == 0)
		return snprintf(out, CELL, "%d", c->guest.pid) > 0;
	if (strcmp(which, "uptime") == 0) {
		text_duration(figure, card_uptime(c, now));
		return card_put(out, figure, "");
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
	return card_put(out, figure, "");
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
	char figures[FIGURES][CELL];
	size_t count = 0;
	for (uint16_t i = 3; i < r->argc && count < FIGURES; i = (uint16_t)(i + 2)) {
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
			good = card_put(key, r->args[0].data, ":") && fprintf(out, "%-*s", width, key) > 0 && write_value(c, now, r, out) &&
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
	if (!card_begin(&now, &paths, cli) || !card_read(&c, &now, name) || !c.guest.running || c.frozen || was_oom(&c)) {
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
