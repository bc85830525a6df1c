/* main.c - the verbs of berth-launch. */
#include <stdio.h>
#include <string.h>

#include "keeper.h"
#include "plan.h"
#include "verbs.h"

#ifndef BERTH_VERSION
#define BERTH_VERSION "unknown"
#endif

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"start", start_main},
	{"adopt", adopt_main},
	{"restore", restore_main},
	{"criu", criu_main},
	{"probe", probe_main},
	{"unrepair", unrepair_main},
	{"attach", attach_main},
	{"console", console_main},
	{"mount", mount_main},
	{"view", view_main},
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("berth-launch %s plan %d keeper %d\n", BERTH_VERSION, PLAN_VERSION, KEEPER_VERSION) < 0;
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	fputs("usage: berth-launch start [--sealed] | adopt [--sealed] | restore [--sealed] [--await] | criu PID -- ARGV... | probe | unrepair PID | "
	      "attach [OPTIONS] RUNDIR -- ARGV... | console [--escape BYTE] RUNDIR | "
	      "view [--attributes LIST] [--at DIR] | mount | --version\n",
	      stderr);
	return 2;
}
