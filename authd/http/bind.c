#include <sys/socket.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "authd/http/http.h"
#include "lib/base/parse.h"

/* "A.B.C.D:PORT" or "[V6]:PORT" taken apart. */
static enum err
split(const char *where, char host[HTTP_HOST_MAX + 1], char port[6])
{
	const char *colon = strrchr(where, ':'), *begin = where;
	size_t len;
	uint64_t v;

	if (colon == NULL || parse_u64(colon + 1, 65535, &v) != ERR_OK)
		return ERR_CONFIG;
	(void)snprintf(port, 6, "%u", (unsigned)v);
	len = (size_t)(colon - where);
	if (*where == '[') {
		if (len < 2 || where[len - 1] != ']')
			return ERR_CONFIG;
		begin++;
		len -= 2;
	}
	if (len == 0 || len > HTTP_HOST_MAX - 2)
		return ERR_CONFIG;
	memcpy(host, begin, len);
	host[len] = '\0';
	return ERR_OK;
}

static int
is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *six;
	const struct sockaddr_in *four;

	if (sa->sa_family == AF_INET) {
		four = (const struct sockaddr_in *)(const void *)sa;
		return ntohl(four->sin_addr.s_addr) >> 24 == 127;
	}
	six = (const struct sockaddr_in6 *)(const void *)sa;
	return sa->sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static enum err
bind_one(const struct addrinfo *ai, int *out)
{
	int fd, on = 1;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0)
		return ERR_IO;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		(void)close(fd);
		return ERR_IO;
	}
	*out = fd;
	return ERR_OK;
}

static enum err
bound_to(int fd, char host[HTTP_HOST_MAX + 1], uint16_t *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char h[HTTP_HOST_MAX - 1], p[6];

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&ss, len, h, sizeof(h), p,
		sizeof(p), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return ERR_IO;
	(void)snprintf(host, HTTP_HOST_MAX + 1,
	    ss.ss_family == AF_INET6 ? "[%s]" : "%s", h);
	*port = ss.ss_family == AF_INET6 ?
	    ntohs(((struct sockaddr_in6 *)(void *)&ss)->sin6_port) :
	    ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port);
	return ERR_OK;
}

enum err
http_bind(const char *where, int loopback_only, int *fd,
    char host[HTTP_HOST_MAX + 1], uint16_t *port, struct detail *d)
{
	const struct addrinfo hints = {
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	    .ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai = NULL;
	char h[HTTP_HOST_MAX + 1], p[6];
	int made = -1;
	enum err e;

	e = split(where, h, p);
	if (e != ERR_OK || getaddrinfo(h, p, &hints, &ai) != 0) {
		detail_set(d, "%.80s: not an ADDRESS:PORT", where);
		return ERR_CONFIG;
	}
	if (loopback_only && !is_loopback(ai->ai_addr)) {
		detail_set(d, "%.80s: beyond loopback only with --tls-cert "
		    "and --tls-key", where);
		e = ERR_CONFIG;
	}
	if (e == ERR_OK) {
		e = bind_one(ai, &made);
		if (e == ERR_OK)
			e = bound_to(made, host, port);
		if (e != ERR_OK)
			detail_set(d, "%.80s: cannot listen there", where);
	}
	freeaddrinfo(ai);
	if (e == ERR_OK)
		*fd = made;
	else if (made >= 0)
		(void)close(made);
	return e;
}
