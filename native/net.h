/* net.h - the guest's links: the host makes the pair, the guest-to-be gives its end addresses and routes. */
#ifndef BERTH_NET_H
#define BERTH_NET_H

#include "plan.h"

/* VETH: host ends here (on their bridges, up), guest ends in the network namespace netns. */
int net_links(const struct plan *p, int netns);
/* lo, ADDRESS, LINK_UP, ROUTE, in the namespace of the caller. */
int net_guest(const struct plan *p);
bool net_wanted(const struct plan *p);

#endif
