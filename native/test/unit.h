/* unit.h - the smallest test frame: one line a test, "ok NAME" or "not ok NAME" with the place of the first broken promise. */
#ifndef BERTH_UNIT_H
#define BERTH_UNIT_H

#include <stdbool.h>
#include <stdio.h>

static int unit_failures;
static const char *unit_broken;
static int unit_line;

#define expect(condition) \
	do { \
		if (!(condition) && !unit_broken) { \
			unit_broken = #condition; \
			unit_line = __LINE__; \
		} \
	} while (0)

static inline void unit_run(const char *file, const char *name, void (*test)(void))
{
	unit_broken = NULL;
	test();
	if (unit_broken) {
		unit_failures++;
		printf("not ok %s # %s:%d: %s\n", name, file, unit_line, unit_broken);
	} else {
		printf("ok %s\n", name);
	}
	fflush(stdout);
}
#define run(test) unit_run(__FILE__, #test, test)

#endif
