#include "authd/http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authd/http/device_tls.h"
#include "authd/http/reply.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/wire/wire.h"

#define CONN_MEMORY ((size_t)32 << 10)
#define TLS_FILE_MAX ((size_t)256 << 10)
#define AUTHN_BURST 64 /* failures of one address at once, */
#define AUTHN_PER_S 8  /* and then a second */
#define REFUSALS_BURST 100
#define REFUSALS_PER_S 20

static const char api_priorities[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL"
    ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
    ":%NO_TICKETS:%SERVER_PRECEDENCE";

static int64_t
now_us(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
http_init(void)
{
	wire_init();
}

/* ---- from the event loop to a worker and back ---- */

void
req_finish(struct req *r, enum err e)
{
	if (e != ERR_OK)
		reply_error(r, e == ERR_WOULD_BLOCK ? ERR_INTERNAL : e);
	r->state = REQ_ANSWERED;
	MHD_resume_connection(r->mc);
}

/* On a worker (or whoever refuses): the answer, then back to the loop. */
static void
on_dequeued(struct req *r, enum err why)
{
	enum err e = why;

	if (r->state == REQ_ANSWERED) { /* a stream under way */
		stream_fill(r, why);
		return;
	}
	if (e == ERR_OK) {
		r->call.may_block = 1;
		e = req_run(r);
	}
	if (e == ERR_OK && stream_is_poll(r))
		stream_sleep(r); /* r is another's from here */
	else if (e == ERR_OK && r->later != NULL)
		r->later(r); /* likewise */
	else
		req_finish(r, e);
}

/* On a worker: several token requests, which wait for one commit. */
static void
on_run(struct req **r, size_t n)
{
	struct queue *q = r[0]->conn->listener->http->queue;
	size_t i;

	for (i = 0; i < n; i++) {
		r[i]->call.may_block = 0;
		r[i]->outcome = req_ready(r[i]);
	}
	api_token_run(r, n);
	for (i = 0; i < n; i++)
		if (r[i]->outcome == ERR_WOULD_BLOCK)
			queue_again(q, r[i]); /* its device is not known */
		else
			req_finish(r[i], r[i]->outcome);
}

static enum MHD_Result
refuse(struct req *r, enum err e)
{
	reply_error(r, e);
	r->state = REQ_ANSWERED;
	return reply_send(r);
}

static enum MHD_Result
hand_over(struct req *r)
{
	struct http *h = r->conn->listener->http;
	enum err e;

	e = queue_reserve(h->queue);
	if (e != ERR_OK)
		return refuse(r, e);
	r->deadline_ms = http_now_ms(h) + h->conf.deadline_ms;
	r->joins = (r->route->flags & ROUTE_RUN) != 0;
	r->state = REQ_QUEUED;
	MHD_suspend_connection(r->mc);
	queue_push(h->queue, r); /* r is the queue's from here */
	return MHD_YES;
}

/* The request is in: answer it from memory, or hand it over. */
static enum MHD_Result
on_complete(struct req *r)
{
	struct http *h = r->conn->listener->http;
	enum err e = r->refusal;

	guard_phase(h->guard, r->conn, CONN_WORKING);
	r->begun_us = now_us();
	r->counted = 1;
	(void)atomic_fetch_add(&h->under_way, 1);
	r->call.may_block = 0;
	if (e == ERR_OK)
		e = (r->route->flags & ROUTE_FAST) != 0 ? req_run(r) :
		    req_admit(r);
	if (e == ERR_WOULD_BLOCK ||
	    (e == ERR_OK && (r->route->flags & ROUTE_FAST) == 0))
		return hand_over(r);
	if (e != ERR_OK)
		return refuse(r, e);
	if (r->later != NULL) {
		r->state = REQ_QUEUED;
		MHD_suspend_connection(r->mc);
		r->later(r); /* r is another's from here */
		return MHD_YES;
	}
	r->state = REQ_ANSWERED;
	return reply_send(r);
}

/* ---- callbacks of libmicrohttpd ---- */

static void *
on_uri(void *cls, const char *uri, struct MHD_Connection *mc)
{
	const union MHD_ConnectionInfo *info;
	struct conn *c;

	info = MHD_get_connection_info(mc,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	c = info == NULL ? NULL : info->socket_context;
	if (c == NULL)
		return NULL;
	req_begin(c, mc, uri);
	return &c->req;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *mc, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **con_cls)
{
	struct req *r = *con_cls;

	if (r == NULL)
		return MHD_NO;
	switch (r->state) {
	case REQ_HEAD:
		/* An answer in this first call would close the connection:
		 * only for what we will not read. */
		return req_head(r, method) ? refuse(r, r->refusal) : MHD_YES;
	case REQ_BODY:
		if (*size == 0)
			return on_complete(r);
		if (!req_body(r, data, *size))
			return MHD_NO;
		*size = 0;
		return MHD_YES;
	case REQ_ANSWERED:
		*size = 0;
		return reply_send(r);
	default:
		return MHD_NO;
	}
}

static void
on_completed(void *cls, struct MHD_Connection *mc, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	struct req *r = *con_cls;
	struct http *h;

	if (r == NULL)
		return;
	h = r->conn->listener->http;
	stream_end(r);
	core_watch_free(&r->watch);
	places_leave(&h->snapshots, &r->place);
	if (r->counted)
		(void)atomic_fetch_sub(&h->under_way, 1);
	r->counted = 0;
	req_end(r);
	guard_phase(h->guard, r->conn, CONN_IDLE);
	*con_cls = NULL;
}

static void __attribute__((format(printf, 2, 0)))
on_log(void *cls, const char *fmt, va_list ap)
{
	char text[300];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	log_line(LOG_DEBUG_, "http library", F_STR("text", text));
}

/* Paths and queries are decoded by us, strictly (form.c). */
static size_t
no_unescape(void *cls, struct MHD_Connection *mc, char *s)
{
	return strlen(s);
}

/* ---- start and stop ---- */

#define OPT(o, v, p) {MHD_OPTION_##o, (intptr_t)(v), (p)}
#define LISTENER_OPTIONS 20

static size_t
common_options(struct listener *l, const struct door_conf *door,
    struct MHD_OptionItem *o)
{
	const struct MHD_OptionItem items[] = {
	    OPT(CONNECTION_MEMORY_LIMIT, CONN_MEMORY, NULL),
	    OPT(CONNECTION_LIMIT, door_loop_limit(door), NULL),
	    OPT(CONNECTION_TIMEOUT, GUARD_IDLE_MS / 1000, NULL),
	    OPT(STRICT_FOR_CLIENT, 1, NULL),
	    {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)no_unescape, NULL},
	    {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, l},
	    {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, l},
	};

	memcpy(o, items, sizeof(items));
	return sizeof(items) / sizeof(items[0]);
}

static enum err
start_loop(struct listener *l, unsigned flags,
    const struct MHD_OptionItem *o)
{
	struct loop *loop = &l->loops[l->nloops];

	loop->listener = l;
	loop->number = l->nloops;
	loop->daemon = MHD_start_daemon(flags |
	    MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
	    MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
	    NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_log,
	    NULL, MHD_OPTION_NOTIFY_CONNECTION, conn_notify, loop,
	    MHD_OPTION_ARRAY, o, MHD_OPTION_END);
	if (loop->daemon == NULL)
		return ERR_CONFIG;
	l->nloops++;
	return ERR_OK;
}

static enum err
open_door(struct listener *l)
{
	struct MHD_Daemon *daemons[DOOR_LOOPS_MAX];
	enum err e;
	uint32_t i;

	for (i = 0; i < l->nloops; i++)
		daemons[i] = l->loops[i].daemon;
	e = door_open(l->door, l->fd, daemons);
	l->fd = -1;
	return e;
}

/* The n options are the caller's; ended here. */
static enum err
start_listener(struct listener *l, const struct door_conf *conf,
    unsigned flags, struct MHD_OptionItem *o, size_t n, struct detail *d)
{
	enum err e;

	o[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	l->loops = calloc(conf->loops, sizeof(l->loops[0]));
	if (l->loops == NULL)
		return ERR_NOMEM;
	e = door_new(conf, &l->door);
	while (e == ERR_OK && l->nloops < conf->loops)
		e = start_loop(l, flags, o);
	if (e == ERR_CONFIG)
		detail_set(d, "the %s listener does not start (TLS key and "
		    "certificate?)", l->kind == ON_API ? "API" : "device");
	if (e != ERR_OK)
		return e;
	e = open_door(l);
	if (e != ERR_OK)
		detail_set(d, "cannot listen");
	return e;
}

static struct door_conf
door_conf(const struct http *h, uint32_t loops)
{
	return (struct door_conf){h->conf.clock, h->conf.connections,
	    h->conf.per_address, loops};
}

static enum err
start_api(struct http *h, struct detail *d)
{
	const struct door_conf door = door_conf(h, h->conf.threads);
	struct MHD_OptionItem o[LISTENER_OPTIONS];
	struct buf cert = {0};
	struct secret file = {0}, key = {0};
	unsigned flags = 0;
	enum err e = ERR_OK;
	size_t n;

	n = common_options(&h->api, &door, o);
	if (h->conf.tls_cert != NULL) {
		e = file_read(h->conf.tls_cert, TLS_FILE_MAX, &cert);
		if (e == ERR_OK)
			e = file_read_secret(h->conf.tls_key, TLS_FILE_MAX,
			    &file);
		if (e == ERR_OK)
			e = secret_resize(&key, file.len + 1); /* and NUL */
		if (e == ERR_OK && file.len > 0)
			memcpy(key.p, file.p, file.len);
		if (e != ERR_OK)
			detail_set(d, "TLS certificate or key cannot be read "
			    "(the key's mode must be 0600)");
		flags = MHD_USE_TLS;
		o[n++] = (struct MHD_OptionItem)OPT(HTTPS_MEM_CERT, 0,
		    cert.p);
		o[n++] = (struct MHD_OptionItem)OPT(HTTPS_MEM_KEY, 0, key.p);
		o[n++] = (struct MHD_OptionItem)OPT(HTTPS_PRIORITIES, 0,
		    (void *)(uintptr_t)api_priorities);
	}
	if (e == ERR_OK)
		e = start_listener(&h->api, &door, flags, o, n, d);
	buf_free(&cert);
	secret_free(&file);
	secret_free(&key);
	return e;
}

static enum err
start_device(struct http *h, struct detail *d)
{
	const struct door_conf door = door_conf(h, h->conf.device_threads);
	struct MHD_OptionItem o[LISTENER_OPTIONS];
	size_t n;
	enum err e;

	e = device_tls_open(&h->device);
	if (e != ERR_OK)
		return e;
	n = common_options(&h->device, &door, o);
	o[n++] = (struct MHD_OptionItem)OPT(HTTPS_CRED_TYPE, GNUTLS_CRD_PSK,
	    NULL);
	o[n++] = (struct MHD_OptionItem)OPT(HTTPS_PRIORITIES, 0,
	    (void *)(uintptr_t)device_tls_priorities);
	o[n++] = (struct MHD_OptionItem)OPT(TLS_NO_ALPN, 1, NULL);
	return start_listener(&h->device, &door, MHD_USE_TLS, o, n, d);
}

static void
on_tick(void *arg)
{
	struct http *h = arg;

	queue_expire(h->queue);
	streams_tick(h->streams, http_now_ms(h));
}

/* While one run waits for its commit another computes; few runs are large. */
static uint32_t
runs_of(const struct http_conf *conf)
{
	return conf->threads > 2 ? conf->threads : 2;
}

static enum err
start_parts(struct http *h)
{
	const struct clock *clock = h->conf.clock;
	const struct queue_conf qc = {h->conf.workers, h->conf.queue, clock,
	    on_dequeued, runs_of(&h->conf), on_run};
	enum err e;

	e = metrics_new(&h->metrics);
	if (e == ERR_OK)
		e = rate_new(clock, AUTHN_BURST, AUTHN_PER_S, &h->authn_rate);
	if (e == ERR_OK)
		e = rate_new(clock, REFUSALS_BURST, REFUSALS_PER_S,
		    &h->refusal_rate);
	if (e == ERR_OK)
		e = queue_new(&qc, &h->queue);
	if (e == ERR_OK)
		e = streams_new(h->conf.connections, &h->streams);
	if (e == ERR_OK)
		e = guard_new(clock, on_tick, h, &h->guard);
	return e;
}

static void
set_conf(struct http *h, const struct http_conf *conf)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	h->conf = *conf;
	if (h->conf.threads == 0)
		h->conf.threads = cores < 2 ? 2 : (uint32_t)cores;
	h->api = (struct listener){.http = h, .kind = ON_API,
	    .fd = conf->api_fd};
	h->device = (struct listener){.http = h, .kind = ON_DEVICE,
	    .fd = conf->device_fd};
}

enum err
http_start(const struct http_conf *conf, struct http **out, struct detail *d)
{
	struct http *h = calloc(1, sizeof(*h));
	enum err e = ERR_NOMEM;

	if (h == NULL) {
		(void)close(conf->api_fd);
		(void)close(conf->device_fd);
		return e;
	}
	set_conf(h, conf);
	h->core = conf->core;
	h->tenant = core_tenant_find(h->core, TENANT_DEFAULT);
	e = h->tenant == NULL ? ERR_INTERNAL : start_parts(h);
	if (e == ERR_OK)
		e = start_device(h, d);
	if (e == ERR_OK)
		e = start_api(h, d);
	if (e != ERR_OK)
		http_stop(&h);
	else
		*out = h;
	return e;
}
