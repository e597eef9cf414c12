#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdatomic.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include "authd/http/door.h"
#include "authd/http/http.h"
#include "authd/http/guard.h"
#include "authd/http/metrics.h"
#include "authd/http/queue.h"
#include "authd/http/rate.h"
#include "authd/http/request.h"
#include "authd/http/places.h"
#include "authd/http/stream.h"

/* What the files of this folder share of a running server. */
struct loop { /* an event loop: a daemon with one thread */
	struct listener *listener;
	uint32_t number;
	struct MHD_Daemon *daemon;
};

struct listener {
	struct http *http;
	enum listener_kind kind;
	struct door *door;
	struct loop *loops;
	uint32_t nloops; /* that have been started */
	int fd; /* -1 once the door has it */
	gnutls_psk_server_credentials_t psk; /* device listener */
};

struct http {
	struct http_conf conf;
	struct core *core;
	const struct core_tenant *tenant; /* default */
	struct listener api, device;
	struct queue *queue;
	struct guard *guard;
	struct streams *streams;
	struct places snapshots; /* under way */
	struct rate *authn_rate;    /* failed authentication, by address */
	struct rate *refusal_rate;  /* log lines about refused handshakes */
	struct metrics *metrics;
	atomic_int draining;
	atomic_uint under_way; /* requests whose body is complete */
};

static inline int64_t
http_now_ms(const struct http *h)
{
	return clock_mono_ms(h->conf.clock);
}

#endif
