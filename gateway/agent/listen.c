#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "gateway/agent/agent.h"
#include "lib/base/parse.h"

/* Sockets of this machine only. */
#define BACKLOG 1024
#define HOST_MAX 64

/* What a process left behind that ended badly. */
static enum err
clear_path(const struct sockaddr_un *sa, struct detail *d)
{
	struct stat st;
	int fd, r;

	if (lstat(sa->sun_path, &st) != 0)
		return (ERR_OK);
	if (!S_ISSOCK(st.st_mode)) {
		detail_set(d, "%.100s: is there, and no socket",
		    sa->sun_path);
		return (ERR_CONFIG);
	}
	/* a full backlog would block: it is in use then */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (ERR_IO);
	r = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
	(void)close(fd);
	if (r == 0 || errno != ECONNREFUSED) {
		detail_set(d, "%.100s: in use", sa->sun_path);
		return (ERR_CONFIG);
	}
	if (unlink(sa->sun_path) != 0) {
		detail_set(d, "%.100s: cannot be replaced", sa->sun_path);
		return (ERR_CONFIG);
	}
	return (ERR_OK);
}

static enum err
give_group(const char *path, const char *group, struct detail *d)
{
	const struct group *g;

	if (group == NULL)
		return (ERR_OK);
	if ((g = getgrnam(group)) == NULL ||
	    chown(path, (uid_t)-1, g->gr_gid) != 0) {
		detail_set(d, "%.100s: cannot be given to group %.32s", path,
		    group);
		return (ERR_CONFIG);
	}
	return (ERR_OK);
}

enum err
listen_unix(const char *path, const char *group, int *out, struct detail *d)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t before;
	enum err e;
	int fd, r;

	if (copy_str(sa.sun_path, sizeof(sa.sun_path), path) != ERR_OK) {
		detail_set(d, "%.100s…: too long for a socket", path);
		return (ERR_CONFIG);
	}
	if ((e = clear_path(&sa, d)) != ERR_OK)
		return (e);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (ERR_IO);
	before = umask(0117);
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
	(void)umask(before);
	if (r != 0) {
		detail_set(d, "%.100s: %.60s", path, strerror(errno));
		(void)close(fd);
		return (ERR_CONFIG);
	}
	/* listened on only when it has its group */
	if ((e = give_group(path, group, d)) == ERR_OK &&
	    listen(fd, BACKLOG) != 0)
		e = ERR_IO;
	if (e != ERR_OK) {
		(void)unlink(path);
		(void)close(fd);
		return (e);
	}
	*out = fd;
	return (ERR_OK);
}

static int
is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in *four = (const void *)sa;
	const struct sockaddr_in6 *six = (const void *)sa;

	if (sa->sa_family == AF_INET)
		return (ntohl(four->sin_addr.s_addr) >> 24 == 127);
	return (sa->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&six->sin6_addr));
}

static enum err
resolve(const char *where, struct addrinfo **out, struct detail *d)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	const char *colon = strrchr(where, ':');
	char host[HOST_MAX];
	size_t len = colon == NULL ? 0 : (size_t)(colon - where);
	uint64_t port;

	if (len > 2 && where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(host) ||
	    parse_u64(colon + 1, 65535, &port) != ERR_OK) {
		detail_set(d, "listen: not an ADDRESS:PORT");
		return (ERR_CONFIG);
	}
	memcpy(host, where, len);
	host[len] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, out) != 0) {
		detail_set(d, "listen: %.60s is no address", host);
		return (ERR_CONFIG);
	}
	return (ERR_OK);
}

static void
name_of(int fd, char *at, size_t size)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[HOST_MAX] = "?", port[8] = "0";

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		(void)getnameinfo((struct sockaddr *)&ss, len, host,
		    sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	(void)snprintf(at, size, ss.ss_family == AF_INET6 ? "[%s]:%s" :
	    "%s:%s", host, port);
}

enum err
listen_loopback(const char *where, int *out, char *at, size_t size,
    struct detail *d)
{
	struct addrinfo *ai = NULL;
	int fd = -1, on = 1;
	enum err e;

	if ((e = resolve(where, &ai, d)) != ERR_OK)
		return (e);
	e = ERR_CONFIG;
	if (!is_loopback(ai->ai_addr))
		detail_set(d, "listen: %.60s: loopback only", where);
	else if ((fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) < 0 || setsockopt(fd, SOL_SOCKET,
	    SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, BACKLOG) != 0)
		detail_set(d, "listen: %.60s: %.60s", where,
		    strerror(errno));
	else {
		name_of(fd, at, size);
		*out = fd;
		e = ERR_OK;
	}
	freeaddrinfo(ai);
	if (e != ERR_OK && fd >= 0)
		(void)close(fd);
	return (e);
}

int
listen_peer(int fd, uid_t *uid)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0 ||
	    len != sizeof(c))
		return (-1);
	*uid = c.uid;
	return (0);
}
