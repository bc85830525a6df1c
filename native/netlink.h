/* netlink.h - builds one rtnetlink request at a time and waits for its answer. */
#ifndef BERTH_NETLINK_H
#define BERTH_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

struct nl {
	size_t used; /* of buf */
	union {
		struct nlmsghdr head;
		char buf[2048];
	};
	char said[192]; /* the kernel's words on the last error */
};

/* A socket for requests, -1 with errno. */
int nl_open(void);
/* Starts a request; returns its zeroed body. */
void *nl_start(struct nl *m, uint16_t type, uint16_t flags, size_t body);
/* Adds room for n bytes; NULL when the message is full. */
void *nl_room(struct nl *m, size_t n);
int nl_put(struct nl *m, uint16_t type, const void *data, size_t len);
int nl_put_u32(struct nl *m, uint16_t type, uint32_t value);
int nl_put_string(struct nl *m, uint16_t type, const char *text);
/* Opens and closes a nested attribute. */
struct rtattr *nl_nest(struct nl *m, uint16_t type);
void nl_end(struct nl *m, struct rtattr *nest);
/* Sends it, waits for the acknowledgement. -1 with errno. */
int nl_do(int sock, struct nl *m);

#endif
