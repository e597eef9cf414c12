#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "gateway/gw_int.h"

/*
 * Keys for hosts whose TLS is not OpenSSL's, or not in this process: the
 * look-up of a handshake without the handshake.
 */
#define WAIT_MAX 10000

/* 1: readable within the time. */
static int
readable(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left;
	int n;

	do {
		left = deadline - gw_tick();
		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return (n > 0);
}

/* Its key is on the way, or known, or there is none: then c->why. */
static enum err
look_up(struct conn *c, const char *identity, size_t len, uint32_t wait_ms)
{
	int64_t deadline = gw_tick() + wait_ms;

	while (!conn_look_up(c, identity, len))
		if (wait_ms == 0 || !readable(c->key_fd, deadline))
			return (ERR_TIMEOUT); /* it is fetched all the same */
	return (c->known ? ERR_OK : c->why);
}

static void
fill(const struct conn *c, struct fealty_device *d)
{
	const struct psk_answer *a = &c->psk.answer;

	snprintf(d->device_id, sizeof(d->device_id), "%s", a->device_id);
	d->device_number = a->dn;
	d->epoch = a->epoch;
	d->ngroups = a->ngroups;
	for (uint32_t i = 0; i < a->ngroups && i < FEALTY_GROUPS; i++)
		d->groups[i] = a->groups[i];
	d->position = a->pos;
	d->tls = c->tls;
}

int
fealty_psk_find(struct fealty_gateway *g, const char *identity, size_t len,
    int tls, uint32_t wait_ms, struct fealty_psk *psk,
    struct fealty_decision *d)
{
	struct conn c = {.g = g, .tls = tls, .stepping = true, .key_fd = -1};
	enum err e = ERR_REQUEST;

	memset(d, 0, sizeof(*d));
	d->staleness_ms = fealty_gateway_age(g);
	if (tls == 12 || tls == 13)
		e = look_up(&c, identity, len,
		    wait_ms < WAIT_MAX ? wait_ms : WAIT_MAX);
	if (e == ERR_OK) {
		fill(&c, &d->device);
		psk->device = d->device;
		memcpy(psk->key, c.psk.answer.key.b, sizeof(psk->key));
	}
	d->event = c.event;
	gw_refuse(d, e, NULL);
	fetch_leave(&c);
	if (c.key_fd >= 0)
		close(c.key_fd);
	wipe(&c, sizeof(c));
	return (d->accepted);
}
