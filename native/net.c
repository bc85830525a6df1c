/* net.c - veth pairs, addresses, routes. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "clock.h"
#include "netlink.h"
#include "util.h"

enum { NAME_WAIT_MS = 2000, NAME_STEP_MS = 2 };

struct address {
	int family;
	uint8_t bytes[16];
	size_t len;
	uint8_t prefix;
};

/* ADDRESS[/PREFIX] */
static bool parse_address(const char *text, struct address *out)
{
	char buf[INET6_ADDRSTRLEN + 8];
	*out = (struct address){0};
	if (snprintf(buf, sizeof buf, "%s", text) >= (int)sizeof buf)
		return false;
	char *slash = strchr(buf, '/');
	if (slash)
		*slash = '\0';
	out->family = strchr(buf, ':') ? AF_INET6 : AF_INET;
	out->len = out->family == AF_INET6 ? 16 : 4;
	if (inet_pton(out->family, buf, out->bytes) != 1)
		return false;
	uint64_t prefix = out->len * 8;
	if (slash) {
		struct plan_arg a = {slash + 1, (uint32_t)strlen(slash + 1)};
		if (!plan_u64(&a, out->len * 8, &prefix))
			return false;
	}
	out->prefix = (uint8_t)prefix;
	return true;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	unsigned v[6];
	char rest;
	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &rest) != 6)
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	return true;
}

/* What both ends have in common. */
static int put_end(struct nl *m, const char *name, const char *mac, uint64_t mtu)
{
	uint8_t bytes[6];
	if (strlen(name) >= IFNAMSIZ || *name == '\0')
		return fail_with(EINVAL, "veth", "%s: not a link name", name);
	if (*mac && !parse_mac(mac, bytes))
		return fail_with(EINVAL, "veth", "%s: not a MAC address", mac);
	if (nl_put_string(m, IFLA_IFNAME, name) < 0 || (*mac && nl_put(m, IFLA_ADDRESS, bytes, sizeof bytes) < 0) ||
	    (mtu && nl_put_u32(m, IFLA_MTU, (uint32_t)mtu) < 0))
		return fail("veth", "%s", name);
	return 0;
}

/* The kernel heeds the index asked for the guest's end only when the host's end has one given too: any will do,
 * far above those that it hands out itself. */
static int any_index(void)
{
	uint32_t r = 0;
	if (getrandom(&r, sizeof r, 0) != sizeof r)
		r = (uint32_t)clock_us();
	return (int)((1U << 24) + r % (1U << 29));
}

static int build_veth(struct nl *m, const struct plan_record *r, uint32_t bridge, int netns)
{
	uint64_t index = 0, mtu = 0;
	if ((r->args[2].len && !plan_u64(&r->args[2], INT32_MAX, &index)) || (r->args[5].len && !plan_u64(&r->args[5], UINT16_MAX, &mtu)))
		return fail_with(EINVAL, "veth", "bad ifindex or MTU");
	struct ifinfomsg *host = nl_start(m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof *host);
	if (!host)
		return fail_with(EMSGSIZE, "veth", "message");
	/* Without a bridge nobody is to hear it yet. */
	host->ifi_flags = host->ifi_change = bridge ? IFF_UP : 0;
	host->ifi_index = index ? any_index() : 0;
	if (put_end(m, r->args[0].data, r->args[4].data, mtu) < 0)
		return -1;
	if (bridge && nl_put_u32(m, IFLA_MASTER, bridge) < 0)
		return fail("veth", "message");
	struct rtattr *info = nl_nest(m, IFLA_LINKINFO);
	if (!info || nl_put_string(m, IFLA_INFO_KIND, "veth") < 0)
		return fail_with(EMSGSIZE, "veth", "message");
	struct rtattr *data = nl_nest(m, IFLA_INFO_DATA);
	struct rtattr *peer = nl_nest(m, VETH_INFO_PEER);
	struct ifinfomsg *guest = nl_room(m, sizeof *guest);
	if (!data || !peer || !guest)
		return fail_with(EMSGSIZE, "veth", "message");
	guest->ifi_index = (int)index;
	if (put_end(m, r->args[1].data, r->args[3].data, mtu) < 0)
		return -1;
	if (nl_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns) < 0)
		return fail("veth", "message");
	nl_end(m, peer);
	nl_end(m, data);
	nl_end(m, info);
	return 0;
}

/* The pair of the guest's last run: connections that nobody answers keep its network namespace for minutes. Only the one
 * whose MAC is the guest's is taken away. */
static void drop_former(int sock, const char *name, const char *mac)
{
	char path[64], found[32];
	struct nl m;
	(void)snprintf(path, sizeof path, "/sys/class/net/%s/address", name);
	uint32_t index = if_nametoindex(name);
	if (index == 0 || read_file_at(AT_FDCWD, path, found, sizeof found) < 0 || strncasecmp(found, mac, strlen(mac)) != 0)
		return;
	struct ifinfomsg *body = nl_start(&m, RTM_DELLINK, 0, sizeof *body);
	if (!body)
		return;
	body->ifi_index = (int)index;
	(void)nl_do(sock, &m);
}

static int make_veth(int sock, const struct plan_record *r, int netns)
{
	const char *name = r->args[0].data, *bridge = r->args[6].data;
	uint32_t index = *bridge ? if_nametoindex(bridge) : 0;
	if (*bridge && index == 0)
		return fail("veth", "bridge %s", bridge);
	uint64_t deadline = clock_us() + NAME_WAIT_MS * 1000ULL;
	for (;;) {
		struct nl m;
		if (build_veth(&m, r, index, netns) < 0)
			return -1;
		if (nl_do(sock, &m) == 0)
			return 0;
		/* EEXIST: there is a pair of the guest's last run. EBUSY: index taken. */
		int err = errno;
		if (err == EEXIST && *r->args[4].data)
			drop_former(sock, name, r->args[4].data);
		errno = err;
		if ((err != EEXIST && err != EBUSY) || clock_us() > deadline)
			return fail("veth", "%s - %s%s%s", name, r->args[1].data, *m.said ? ": " : "", m.said);
		sleep_ms(NAME_STEP_MS);
	}
}

int net_links(const struct plan *p, int netns)
{
	cleanup_fd int sock = -1;
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->records[i].op != OP_VETH)
			continue;
		if (sock < 0 && (sock = nl_open()) < 0)
			return fail("veth", "netlink");
		if (make_veth(sock, &p->records[i], netns) < 0)
			return -1;
	}
	return 0;
}

static uint32_t link_index(const char *step, const char *name)
{
	uint32_t index = if_nametoindex(name);
	if (index == 0)
		(void)fail(step, "%s", name);
	return index;
}

static int link_up(int sock, const char *name)
{
	struct nl m;
	uint32_t index = link_index("link-up", name);
	if (index == 0)
		return -1;
	struct ifinfomsg *body = nl_start(&m, RTM_NEWLINK, 0, sizeof *body);
	body->ifi_index = (int)index;
	body->ifi_flags = body->ifi_change = IFF_UP;
	return nl_do(sock, &m) < 0 ? fail("link-up", "%s%s%s", name, *m.said ? ": " : "", m.said) : 0;
}

static int add_address(int sock, const struct plan_record *r)
{
	const char *name = r->args[0].data, *text = r->args[1].data;
	struct address a;
	struct nl m;
	if (!parse_address(text, &a) || !strchr(text, '/'))
		return fail_with(EINVAL, "address", "%s: not an address with a prefix length", text);
	uint32_t index = link_index("address", name);
	if (index == 0)
		return -1;
	struct ifaddrmsg *body = nl_start(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *body);
	body->ifa_family = (uint8_t)a.family;
	body->ifa_prefixlen = a.prefix;
	body->ifa_index = index;
	/* The host gave the address: nobody to ask whether it is taken. */
	body->ifa_flags = a.family == AF_INET6 ? IFA_F_NODAD : 0;
	int bad = nl_put(&m, IFA_LOCAL, a.bytes, a.len) < 0 || nl_put(&m, IFA_ADDRESS, a.bytes, a.len) < 0;
	if (a.family == AF_INET && a.prefix < 31) {
		uint32_t address, host = ~0U >> a.prefix;
		memcpy(&address, a.bytes, sizeof address);
		bad = bad || nl_put_u32(&m, IFA_BROADCAST, address | htonl(host)) < 0;
	}
	if (bad || nl_do(sock, &m) < 0)
		return fail("address", "%s on %s%s%s", text, name, *m.said ? ": " : "", m.said);
	return 0;
}

static int send_route(int sock, struct nl *m, uint32_t index, const struct address *to, const struct address *via, unsigned flags)
{
	struct rtmsg *body = nl_start(m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *body);
	body->rtm_family = (uint8_t)(via->len ? via->family : to->family);
	body->rtm_dst_len = to->prefix;
	body->rtm_table = RT_TABLE_MAIN;
	body->rtm_protocol = RTPROT_STATIC;
	body->rtm_scope = via->len ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	body->rtm_type = RTN_UNICAST;
	body->rtm_flags = flags;
	if ((to->prefix && nl_put(m, RTA_DST, to->bytes, to->len) < 0) || (via->len && nl_put(m, RTA_GATEWAY, via->bytes, via->len) < 0) ||
	    nl_put_u32(m, RTA_OIF, index) < 0)
		return -1;
	return nl_do(sock, m);
}

static int add_route(int sock, const struct plan_record *r)
{
	const char *name = r->args[0].data, *gateway = r->args[1].data, *dest = r->args[2].data;
	struct address via = {0}, to = {0};
	struct nl m;
	if (*gateway && (!parse_address(gateway, &via) || strchr(gateway, '/')))
		return fail_with(EINVAL, "route", "%s: not a gateway", gateway);
	if (strcmp(dest, "default") == 0)
		to.family = via.len ? via.family : AF_INET;
	else if (!parse_address(dest, &to) || (via.len && via.family != to.family))
		return fail_with(EINVAL, "route", "%s via %s", dest, gateway);
	uint32_t index = link_index("route", name);
	if (index == 0)
		return -1;
	if (send_route(sock, &m, index, &to, &via, 0) == 0)
		return 0;
	/* A gateway outside of the guest's own networks (an address with /32) is reached over the link all the same. */
	if (via.len && (errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EINVAL) &&
	    send_route(sock, &m, index, &to, &via, RTNH_F_ONLINK) == 0)
		return 0;
	return fail("route", "%s via %s on %s%s%s", dest, *gateway ? gateway : "the link", name, *m.said ? ": " : "", m.said);
}

bool net_wanted(const struct plan *p)
{
	return plan_find(p, OP_VETH) || plan_find(p, OP_ADDRESS) || plan_find(p, OP_ROUTE) || plan_find(p, OP_LINK_UP);
}

/* Every record of one op; links are up before routes, whatever the order of the plan. */
static int each(const struct plan *p, enum plan_op op, int sock)
{
	for (uint32_t i = 0; i < p->count; i++) {
		const struct plan_record *r = &p->records[i];
		if (r->op != op)
			continue;
		if ((op == OP_ADDRESS && add_address(sock, r) < 0) || (op == OP_LINK_UP && link_up(sock, r->args[0].data) < 0) ||
		    (op == OP_ROUTE && add_route(sock, r) < 0))
			return -1;
	}
	return 0;
}

int net_guest(const struct plan *p)
{
	cleanup_fd int sock = nl_open();
	if (sock < 0)
		return fail("link-up", "netlink");
	if (link_up(sock, "lo") < 0 || each(p, OP_ADDRESS, sock) < 0 || each(p, OP_LINK_UP, sock) < 0)
		return -1;
	return each(p, OP_ROUTE, sock);
}
