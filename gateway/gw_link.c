#include <string.h>
#include "gateway/gw_int.h"

enum err
link_open(struct link *l, const struct link_conf *conf)
{
	struct client_conf c = {
		.ca_file = conf->ca_file,
		.credential = conf->credential,
		.timeout_ms = conf->timeout_ms,
		.answer_max = conf->answer_max,
		.tries = 1,
	};
	enum err e;

	memset(l, 0, sizeof(*l));
	for (uint32_t i = 0; i < conf->nurls; i++) {
		c.url = conf->urls[i];
		if ((e = client_new(&c, &l->client[i])) != ERR_OK) {
			link_close(l);
			return (e);
		}
		l->n++;
	}
	return (ERR_OK);
}

void
link_close(struct link *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		client_free(&l->client[i]);
	l->n = 0;
}

/* Whether another authd of the same authority may do better. */
static int
elsewhere(enum err e)
{
	return (e == ERR_NETWORK || e == ERR_TIMEOUT || e == ERR_NOT_READY ||
	    e == ERR_STORE || e == ERR_BUSY || e == ERR_BACKWARDS);
}

void
link_next(struct link *l)
{
	if (l->n > 0)
		l->current = (l->current + 1) % l->n;
}

enum err
link_call(struct link *l, const char *method, const char *path,
    const struct buf *body, struct buf *answer, struct problem *why)
{
	enum err e = ERR_NETWORK;

	for (uint32_t i = 0; i < l->n; i++) {
		e = client_call(l->client[l->current], method, path, NULL,
		    body, answer, why);
		if (!elsewhere(e))
			return (e);
		link_next(l);
	}
	return (e);
}
