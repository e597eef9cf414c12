#include <sys/random.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>

#include "authd/http/device_tls.h"
#include "authd/http/server.h"

/* Connections: who is at the other end, for rations and for the log. */

/* FNV-1a over the address; a collision shares a bucket, no more. */
static uint64_t
hash_address(const void *p, size_t len, uint64_t h)
{
	const unsigned char *s = p;

	h ^= UINT64_C(14695981039346656037);
	while (len-- > 0)
		h = (h ^ *s++) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

static void
take_address(struct conn *c, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *six;
	const struct sockaddr_in *four;

	if (sa != NULL && sa->sa_family == AF_INET) {
		four = (const struct sockaddr_in *)(const void *)sa;
		(void)inet_ntop(AF_INET, &four->sin_addr, c->peer,
		    sizeof(c->peer));
		c->address = hash_address(&four->sin_addr, 4, 4);
	} else if (sa != NULL && sa->sa_family == AF_INET6) {
		six = (const struct sockaddr_in6 *)(const void *)sa;
		(void)inet_ntop(AF_INET6, &six->sin6_addr, c->peer,
		    sizeof(c->peer));
		/* a customer's network, not its 2^64 addresses */
		c->address = hash_address(&six->sin6_addr, 8, 6);
	}
}

static struct conn *
conn_new(struct listener *l, struct MHD_Connection *mc)
{
	const union MHD_ConnectionInfo *info;
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->listener = l;
	info = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info == NULL ? -1 : info->connect_fd;
	info = MHD_get_connection_info(mc,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	take_address(c, info == NULL ? NULL : info->client_addr);
	if (getrandom(&c->id, sizeof(c->id), 0) != (ssize_t)sizeof(c->id) ||
	    (l->kind == ON_DEVICE && device_tls_attach(c, mc) != ERR_OK)) {
		free(c);
		return NULL;
	}
	guard_add(l->http->guard, c);
	return c;
}

void
conn_notify(void *cls, struct MHD_Connection *mc, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	struct listener *l = cls;
	struct conn *c = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = conn_new(l, mc); /* NULL: no request is served */
		return;
	}
	if (c == NULL)
		return;
	guard_remove(l->http->guard, c);
	if (l->kind == ON_DEVICE)
		device_tls_detach(c);
	req_free(&c->req);
	wipe(c, sizeof(*c));
	free(c);
	*context = NULL;
}
