/* unrepair.h - TCP connections that a killed criu left in repair mode. */
#ifndef BERTH_UNREPAIR_H
#define BERTH_UNREPAIR_H

#include <sys/types.h>

/* Lets those of the guest whose init is `init` go on. What there is none of is fine. */
int unrepair(pid_t init);

#endif
