/* unit_plan.c - plan.c: numbers, shapes, and the first wrong byte of each kind. */
#include <stdlib.h>
#include <string.h>

#include "planbuild.h"
#include "unit.h"

static uint8_t buf[4096];

static bool u64(const char *text, uint64_t max, uint64_t *out)
{
	struct plan_arg a = {text, (uint32_t)strlen(text)};
	return plan_u64(&a, max, out);
}

static bool octal(const char *text, uint32_t max, uint32_t *out)
{
	struct plan_arg a = {text, (uint32_t)strlen(text)};
	return plan_octal(&a, max, out);
}

static void plan_u64_takes_whole_decimal_numbers(void)
{
	uint64_t v = 0;
	expect(u64("0", 10, &v) && v == 0);
	expect(u64("007", 10, &v) && v == 7);
	expect(u64("18446744073709551615", UINT64_MAX, &v) && v == UINT64_MAX);
	expect(!u64("18446744073709551616", UINT64_MAX, &v));
	expect(!u64("99999999999999999999999", UINT64_MAX, &v));
	expect(u64("10", 10, &v) && v == 10);
	expect(!u64("11", 10, &v));
	expect(!u64("", 10, &v) && !u64("-1", 10, &v) && !u64("+1", 10, &v) && !u64(" 1", 10, &v) && !u64("1 ", 10, &v));
	expect(!u64("0x1", 10, &v) && !u64("1a", 10, &v) && !u64("/", 10, &v) && !u64(":", 10, &v));
}

static void plan_octal_takes_modes(void)
{
	uint32_t v = 0;
	expect(octal("0755", 07777, &v) && v == 0755);
	expect(octal("1777", 07777, &v) && v == 01777);
	expect(!octal("8", 07777, &v) && !octal("10000", 07777, &v) && !octal("", 07777, &v) && !octal("0o7", 07777, &v));
	expect(!octal("7777777777777777777777777", UINT32_MAX, &v));
}

static bool parses(size_t size, const char **why)
{
	char *copy = malloc(size);
	struct plan p;
	if (!copy)
		return false;
	memcpy(copy, buf, size);
	bool good = plan_parse(copy, size, &p, why) == 0;
	if (good)
		plan_free(&p);
	return good;
}

static size_t sample(void)
{
	struct planbuild b = plan_begin(buf);
	plan_add(&b, OP_NAME, 1, (const char *[]){"c1"}, NULL);
	plan_add(&b, OP_OOM_SCORE, 1, (const char *[]){"-5"}, NULL);
	return plan_finish(&b);
}

static void a_good_plan_is_read(void)
{
	size_t size = sample();
	char *copy = malloc(size);
	struct plan p;
	const char *why = NULL;
	expect(copy != NULL);
	if (!copy)
		return;
	memcpy(copy, buf, size);
	int result = plan_parse(copy, size, &p, &why);
	expect(result == 0);
	if (result < 0)
		return;
	expect(p.count == 2 && plan_find(&p, OP_NAME) == &p.records[0]);
	expect(strcmp(p.records[1].args[0].data, "-5") == 0 && p.records[1].args[0].len == 2);
	expect(plan_find(&p, OP_INIT) == NULL);
	plan_free(&p);
}

static void an_empty_plan_is_read(void)
{
	struct planbuild b = plan_begin(buf);
	const char *why = NULL;
	expect(parses(plan_finish(&b), &why));
}

static void every_shorter_plan_is_refused(void)
{
	size_t size = sample();
	for (size_t n = 1; n < size; n++) {
		const char *why = NULL;
		expect(!parses(n, &why) && why);
		put32(buf + 12, (uint32_t)n); /* even when the header agrees */
		expect(!parses(n, &why));
		put32(buf + 12, (uint32_t)size);
	}
}

static void wrong_bytes_are_refused(void)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {
		{0, 'b'}, {8, 2}, {12, 0}, {16, 3}, {16, 1}, {20, 1}, /* header: magic, version, size, count, zero */
		{24, 200}, {26, 2}, {26, 0}, {28, 8}, {28, 6},        /* record: op, argc, size */
		{32, 1}, {32, 3}, {36, 0}, {38, 'x'},                 /* argument: length, NUL inside, not terminated */
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		size_t size = sample();
		const char *why = NULL;
		buf[wrong[i].at] = wrong[i].value;
		expect(!parses(size, &why) && why);
	}
}

static void binary_arguments_may_hold_nul(void)
{
	struct planbuild b = plan_begin(buf);
	const char *why = NULL;
	plan_add(&b, OP_SECCOMP, 1, (const char *[]){"\0\0\0\0\0\0\0\0"}, (const uint32_t[]){8});
	expect(parses(plan_finish(&b), &why));
}

int main(void)
{
	run(plan_u64_takes_whole_decimal_numbers);
	run(plan_octal_takes_modes);
	run(a_good_plan_is_read);
	run(an_empty_plan_is_read);
	run(every_shorter_plan_is_refused);
	run(wrong_bytes_are_refused);
	run(binary_arguments_may_hold_nul);
	return unit_failures > 0;
}
