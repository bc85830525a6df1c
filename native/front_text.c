/* front_text.c - figures and order as berth-cli has them. */
#include "front_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void text_size(char out[TEXT_FIGURE], uint64_t bytes)
{
	static const char *const names[] = {"", "K", "M", "G", "T", "P"};
	unsigned unit = 0;
	while (unit < 5 && bytes >> (10 * (unit + 1)) > 0)
		unit++;
	uint64_t one = (uint64_t)1 << (10 * unit), whole = bytes / one, rest = bytes % one;
	if (rest == 0) {
		snprintf(out, TEXT_FIGURE, "%" PRIu64 "%s", whole, names[unit]);
		return;
	}
	if (whole >= 100) {
		snprintf(out, TEXT_FIGURE, "%" PRIu64 "%s", whole + (rest >= one / 2), names[unit]);
		return;
	}
	uint64_t tenths = whole * 10 + (rest * 10 + one / 2) / one;
	if (tenths % 10 == 0)
		snprintf(out, TEXT_FIGURE, "%" PRIu64 "%s", tenths / 10, names[unit]);
	else
		snprintf(out, TEXT_FIGURE, "%" PRIu64 ".%" PRIu64 "%s", tenths / 10, tenths % 10, names[unit]);
}

void text_duration(char out[TEXT_FIGURE], uint64_t seconds)
{
	const struct {
		uint64_t n;
		char unit;
	} parts[] = {{seconds / 86400, 'd'}, {seconds % 86400 / 3600, 'h'}, {seconds % 3600 / 60, 'm'}, {seconds % 60, 's'}};
	size_t first = 0;
	while (first < 3 && parts[first].n == 0)
		first++;
	if (first == 3 || parts[first + 1].n == 0)
		snprintf(out, TEXT_FIGURE, "%" PRIu64 "%c", parts[first].n, parts[first].unit);
	else
		snprintf(out, TEXT_FIGURE, "%" PRIu64 "%c %" PRIu64 "%c", parts[first].n, parts[first].unit, parts[first + 1].n,
			 parts[first + 1].unit);
}

/* Of what is exactly between two (odd eighths), printf takes the even one. */
void text_hundredths(char out[TEXT_FIGURE], uint64_t count, uint64_t per)
{
	uint64_t whole = count / per, rest = count % per;
	if (rest * 8 % per == 0 && rest * 8 / per % 2 == 1)
		snprintf(out, TEXT_FIGURE, "%" PRIu64 ".%02" PRIu64, whole, rest * 100 / per + 1);
	else
		snprintf(out, TEXT_FIGURE, "%.2f", (double)count / (double)per);
}

/* Behind the number at *at, without its leading zeros in *start. */
static size_t number_at(const char **at, const char **start)
{
	while (**at == '0' && isdigit((unsigned char)(*at)[1]))
		(*at)++;
	*start = *at;
	while (isdigit((unsigned char)**at))
		(*at)++;
	return (size_t)(*at - *start);
}

static int rank(char c)
{
	return c == '\0' ? 0 : c == '-' ? 1 : isdigit((unsigned char)c) ? 2 : 3 + c;
}

int text_order(const char *a, const char *b)
{
	while (*a || *b) {
		if (!isdigit((unsigned char)*a) || !isdigit((unsigned char)*b)) {
			int order = rank(*a) - rank(*b);
			if (order != 0)
				return order;
			a++;
			b++;
			continue;
		}
		const char *first, *second;
		size_t length = number_at(&a, &first), other = number_at(&b, &second);
		int order = length != other ? (length < other ? -1 : 1) : memcmp(first, second, length);
		if (order != 0)
			return order;
	}
	return 0;
}
