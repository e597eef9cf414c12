#include "authd/http/server.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "authd/http/device_tls.h"

/* Nobody else can connect. */
static void
shut(struct listener *l)
{
	if (l->door != NULL)
		door_close(l->door);
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

static void
stop_loops(struct listener *l)
{
	while (l->nloops > 0)
		MHD_stop_daemon(l->loops[--l->nloops].daemon);
	free(l->loops);
	l->loops = NULL;
	door_free(&l->door);
}

void
http_drain(struct http *h, uint32_t ms)
{
	const struct timespec pause = {0, 5000000};
	int64_t end = http_now_ms(h) + ms;

	atomic_store(&h->draining, 1);
	shut(&h->api);
	shut(&h->device);
	streams_drain(h->streams);
	core_receipts_stop(h->core);
	while (atomic_load(&h->under_way) > 0 && http_now_ms(h) < end)
		(void)nanosleep(&pause, NULL);
}

void
http_stop(struct http **hp)
{
	struct http *h = *hp;

	if (h == NULL)
		return;
	atomic_store(&h->draining, 1);
	shut(&h->api);
	shut(&h->device);
	if (h->streams != NULL)
		streams_drain(h->streams);
	if (h->core != NULL)
		core_receipts_stop(h->core);
	if (h->queue != NULL)
		queue_stop(h->queue);
	stop_loops(&h->api);
	stop_loops(&h->device);
	guard_free(&h->guard);
	queue_free(&h->queue);
	device_tls_close(&h->device);
	streams_free(&h->streams);
	rate_free(&h->authn_rate);
	rate_free(&h->refusal_rate);
	metrics_free(&h->metrics);
	free(h);
	*hp = NULL;
}
