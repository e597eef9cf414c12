#include <sys/random.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>

#include "authd/http/device_tls.h"
#include "authd/http/server.h"

/* Connections: who is at the other end, for rations and for the log. */

static void
take_address(struct conn *c, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *six;
	const struct sockaddr_in *four;

	c->address = door_address(sa);
	if (sa != NULL && sa->sa_family == AF_INET) {
		four = (const struct sockaddr_in *)(const void *)sa;
		(void)inet_ntop(AF_INET, &four->sin_addr, c->peer,
		    sizeof(c->peer));
	} else if (sa != NULL && sa->sa_family == AF_INET6) {
		six = (const struct sockaddr_in6 *)(const void *)sa;
		(void)inet_ntop(AF_INET6, &six->sin6_addr, c->peer,
		    sizeof(c->peer));
	}
}

static struct conn *
conn_new(struct listener *l, struct MHD_Connection *mc,
    const struct sockaddr *sa)
{
	const union MHD_ConnectionInfo *info;
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->listener = l;
	info = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info == NULL ? -1 : info->connect_fd;
	take_address(c, sa);
	if (getrandom(&c->id, sizeof(c->id), 0) != (ssize_t)sizeof(c->id) ||
	    (l->kind == ON_DEVICE && device_tls_attach(c, mc) != ERR_OK)) {
		free(c);
		return NULL;
	}
	guard_add(l->http->guard, c);
	return c;
}

static const struct sockaddr *
address_of(struct MHD_Connection *mc)
{
	const union MHD_ConnectionInfo *info;

	info = MHD_get_connection_info(mc,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	return info == NULL ? NULL : info->client_addr;
}

static void
conn_free(struct conn **cp)
{
	struct conn *c = *cp;
	struct listener *l;

	if (c == NULL)
		return;
	l = c->listener;
	guard_remove(l->http->guard, c);
	if (l->kind == ON_DEVICE)
		device_tls_detach(c);
	req_free(&c->req);
	wipe(c, sizeof(*c));
	free(c);
	*cp = NULL;
}

void
conn_notify(void *cls, struct MHD_Connection *mc, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	struct loop *loop = cls;
	struct listener *l = loop->listener;
	struct conn *c = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		door_begun(l->door, loop->number);
		/* NULL: no request is served */
		*context = conn_new(l, mc, address_of(mc));
		return;
	}
	conn_free(&c);
	*context = NULL;
	door_over(l->door, loop->number, address_of(mc));
}
