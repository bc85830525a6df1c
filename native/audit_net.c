/* audit_net.c - services and links of the host, and what processes share by name. Nothing is sent on any link. */
#include "audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct result connect_to(int family, const void *address, socklen_t size)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed();
	struct result r = connect(fd, address, size) == 0 ? through("") : failed();
	close(fd);
	return r;
}

static struct result loopback(const struct attempt *a)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)fact_number("port")),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	(void)a;
	return connect_to(AF_INET, &to, sizeof to);
}

static struct result abstract_socket(const struct attempt *a)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *name = fact("name");
	(void)a;
	int n = snprintf(to.sun_path + 1, sizeof to.sun_path - 1, "%s", name ? name : "");
	return connect_to(AF_UNIX, &to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
}

/* A link of that name may be the guest's own: its address tells. */
static bool is_host_link(int fd, const char *name)
{
	struct ifreq request = {0};
	char mac[18];
	const char *known = fact("link-mac");
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (!known || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return false;
	const unsigned char *m = (const unsigned char *)request.ifr_hwaddr.sa_data;
	snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return strcmp(mac, known) == 0;
}

static struct result sniff(const struct attempt *a)
{
	const char *name = fact("link");
	(void)a;
	if (!name)
		return blocked(ENODEV, "the host has no link");
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed();
	/* Protocol 0 receives nothing. */
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
	struct result r = to.sll_ifindex == 0	    ? failed()
			  : !is_host_link(fd, name) ? blocked(ENODEV, "that link is not here")
			  : bind(fd, (struct sockaddr *)&to, sizeof to) < 0 ? failed()
									     : through("");
	close(fd);
	return r;
}

/* Asks the audit system for its state, as one who could change it may. */
static struct result audit_system(const struct attempt *a)
{
	struct {
		struct nlmsghdr head;
		char room[512];
	} message = {.head = {.nlmsg_len = NLMSG_LENGTH(0), .nlmsg_type = AUDIT_GET, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	(void)a;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (fd < 0)
		return failed();
	struct timeval patience = {.tv_sec = 1};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	ssize_t n = sendto(fd, &message, message.head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
	n = n < 0 ? n : recv(fd, &message, sizeof message, 0);
	int err = errno;
	close(fd);
	if (n < 0)
		return blocked(err, "");
	if (message.head.nlmsg_type == NLMSG_ERROR) {
		int code;
		memcpy(&code, NLMSG_DATA(&message.head), sizeof code);
		return code == 0 ? through("") : blocked(-code, "");
	}
	return through("");
}

static struct result shared_memory(const struct attempt *a)
{
	const char *secret = fact("secret");
	(void)a;
	int id = shmget((key_t)fact_number("shm"), 0, 0);
	if (id < 0)
		return failed();
	const char *at = shmat(id, NULL, SHM_RDONLY);
	if (at == (const char *)-1)
		return failed();
	bool same = secret && strcmp(at, secret) == 0;
	shmdt(at);
	return same ? through("") : blocked(0, "not the host's");
}

static struct result message_queue(const struct attempt *a)
{
	char path[80];
	const char *name = fact("name");
	(void)a;
	snprintf(path, sizeof path, "/%s", name ? name : "");
	mqd_t queue = mq_open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (queue < 0)
		return failed();
	mq_close(queue);
	return through("");
}

static struct result named_memory(const struct attempt *a)
{
	char path[80];
	const char *name = fact("name");
	(void)a;
	snprintf(path, sizeof path, "/dev/shm/%s", name ? name : "");
	return holds_secret(AT_FDCWD, path) ? through("") : blocked(ENOENT, "");
}

/* Set to what it is; in a guest, to say nothing, only where the namespace is the host's. */
static struct result host_name(const struct attempt *a)
{
	struct stat st;
	char name[256] = "";
	(void)a;
	if (stat("/proc/self/ns/uts", &st) < 0 || gethostname(name, sizeof name - 1) < 0)
		return failed();
	if ((long)st.st_ino != fact_number("uts"))
		return blocked(0, "its own name");
	return sethostname(name, strlen(name)) == 0 ? through("") : failed();
}

#define NET(ID, WHAT, RUN, CONTROL) {.id = ID, .what = WHAT, .cve = "", .control = CONTROL, .run = RUN}

const struct attempt net_attempts[] = {
	NET("loopback", "reach a service of the host's loopback", loopback, "on the host, the canary's port answers"),
	{.id = "abstract-socket", .what = "reach a service of the host's by an abstract socket", .cve = "CVE-2020-15257",
	 .control = "on the host, the canary's socket answers", .run = abstract_socket},
	NET("sniff", "listen on a link of the host's", sniff, "the host's root binds to it"),
	NET("audit-system", "change or silence the host's audit system", audit_system, "the host's root gets its state"),
	NET("sysv-memory", "share memory with the host by a System V key", shared_memory, "the host's root reads the secret"),
	NET("message-queue", "open a message queue of the host's", message_queue, "the host's root opens the canary's"),
	NET("shm-file", "read shared memory of the host by its name", named_memory, "the host's root reads the secret"),
	NET("host-name", "rename the host", host_name, "the host's root sets the name that it has"),
	{0},
};
