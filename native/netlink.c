/* netlink.c - rtnetlink requests. */
#include "netlink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

int nl_open(void)
{
	cleanup_fd int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int on = 1;
	if (sock < 0)
		return -1;
	/* Both only make the errors better and shorter. */
	(void)setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	(void)setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	return take_fd(&sock);
}

void *nl_start(struct nl *m, uint16_t type, uint16_t flags, size_t body)
{
	memset(m, 0, sizeof *m);
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	m->head.nlmsg_seq = 1;
	m->used = NLMSG_HDRLEN;
	return nl_room(m, body);
}

void *nl_room(struct nl *m, size_t n)
{
	size_t at = NLMSG_ALIGN(m->used);
	if (at > sizeof m->buf || n > sizeof m->buf - at)
		return NULL;
	m->used = at + n;
	return m->buf + at;
}

int nl_put(struct nl *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = nl_room(m, RTA_LENGTH(len));
	if (!a) {
		errno = EMSGSIZE;
		return -1;
	}
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(a), data, len);
	return 0;
}

int nl_put_u32(struct nl *m, uint16_t type, uint32_t value)
{
	return nl_put(m, type, &value, sizeof value);
}

int nl_put_string(struct nl *m, uint16_t type, const char *text)
{
	return nl_put(m, type, text, strlen(text) + 1);
}

struct rtattr *nl_nest(struct nl *m, uint16_t type)
{
	struct rtattr *a = nl_room(m, RTA_LENGTH(0));
	if (a)
		a->rta_type = type;
	return a;
}

void nl_end(struct nl *m, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)(m->buf + m->used - (char *)nest);
}

/* The text that newer kernels add to an error. */
static void keep_words(struct nl *m, const struct nlmsghdr *h)
{
	size_t at = NLMSG_LENGTH(sizeof(struct nlmsgerr));
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	while (at + sizeof(struct nlattr) <= h->nlmsg_len) {
		const struct nlattr *a = (const struct nlattr *)((const char *)h + at);
		if (a->nla_len < NLA_HDRLEN || at + a->nla_len > h->nlmsg_len)
			return;
		if ((a->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG)
			snprintf(m->said, sizeof m->said, "%.*s", (int)(a->nla_len - NLA_HDRLEN), (const char *)a + NLA_HDRLEN);
		at += NLA_ALIGN(a->nla_len);
	}
}

int nl_do(int sock, struct nl *m)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;
	m->head.nlmsg_len = (uint32_t)m->used;
	do
		n = sendto(sock, m->buf, m->used, 0, (struct sockaddr *)&kernel, sizeof kernel);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	union {
		struct nlmsghdr head;
		char buf[2048];
	} answer;
	for (;;) {
		n = recv(sock, answer.buf, sizeof answer.buf, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if ((size_t)n < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || answer.head.nlmsg_len > (size_t)n ||
		    answer.head.nlmsg_type != NLMSG_ERROR) {
			errno = EPROTO;
			return -1;
		}
		const struct nlmsgerr *e = NLMSG_DATA(&answer.head);
		if (e->error == 0)
			return 0;
		keep_words(m, &answer.head);
		errno = -e->error;
		return -1;
	}
}
