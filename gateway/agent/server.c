#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "gateway/agent/agent.h"
#include "lib/base/log.h"

/* The libmicrohttpd side: a request comes in, waits or not, is answered. */
#define CONN_MEMORY ((size_t)32 << 10)
#define IDLE_S 75 /* proxies keep connections for a minute */

int64_t
now_us(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

/* ---- the answer ----------------------------------------------------- */

/* One line; who asked and for whom, never with what. */
static void
log_request(const struct req *r, int64_t us)
{
	const struct fealty_decision *d = &r->decision;
	int probe = r->route == ROUTE_STATUS || r->route == ROUTE_METRICS;

	log_line(probe ? LOG_DEBUG_ : LOG_INFO_, "request",
	    F_STR("route", route_name(r->route)),
	    F_STR("on", r->door->is_unix ? "socket" : "loopback"),
	    F_INT("status", r->status), F_STR("code", err_code(r->err)),
	    F_STR("reason", r->err == ERR_OK ? "" : d->reason),
	    F_STR("device", d->device.device_id),
	    F_INT("position", d->device.position), F_INT("us", us));
}

static void
count(const struct req *r, int64_t us)
{
	struct counts *c = &r->door->agent->counts;

	(void)atomic_fetch_add(r->status < 400 ? &c->accepted[r->route] :
	    &c->refused[r->route], 1);
	(void)atomic_fetch_add(&c->us[r->route], us > 0 ? (uint64_t)us : 0);
}

static enum MHD_Result
reply(struct req *r)
{
	struct MHD_Response *out;
	int64_t us = now_us() - r->begun_us;
	enum MHD_Result ok;

	/* the text stays in the request until the connection is done */
	out = MHD_create_response_from_buffer(r->answer.len,
	    r->answer.p != NULL ? r->answer.p : (void *)(uintptr_t)"",
	    MHD_RESPMEM_PERSISTENT);
	if (out == NULL)
		return (MHD_NO);
	(void)MHD_add_response_header(out, "Cache-Control", "no-store");
	if (r->type != NULL)
		(void)MHD_add_response_header(out, "Content-Type", r->type);
	if (r->route == ROUTE_AUTH || r->route == ROUTE_EXT_AUTHZ)
		auth_headers(r, out);
	ok = MHD_queue_response(r->mc, r->status, out);
	MHD_destroy_response(out);
	count(r, us);
	log_request(r, us);
	return (ok);
}

void
server_waited(struct req *r, uint32_t wait_ms)
{
	r->last_try = 1;
	if (request_run(r, wait_ms) != ERR_OK)
		answer_error(r, ERR_INTERNAL, "");
	r->state = REQ_ANSWERED;
	MHD_resume_connection(r->mc); /* r is the event loop's again */
}

/* The request is in: from memory, or on a thread that may wait. */
static enum MHD_Result
on_complete(struct req *r)
{
	const struct agent_conf *c = r->door->agent->conf;

	if (request_run(r, 0) == ERR_WOULD_BLOCK) {
		r->state = REQ_WAITING;
		r->give_up_us = now_us() + (int64_t)c->wait_ms * 1000;
		if (waiters_push(r->door->agent->waiters, r) == ERR_OK)
			return (MHD_YES);
		/* no place to wait in: then as if there were no time */
		r->last_try = 1;
		if (request_run(r, 0) != ERR_OK)
			return (MHD_NO);
	}
	r->state = REQ_ANSWERED;
	return (reply(r));
}

/* ---- callbacks ------------------------------------------------------ */

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *mc, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **con_cls)
{
	struct req *r = *con_cls;

	if (r == NULL) {
		/* an answer in this first call would end the connection */
		r = *con_cls = request_new(cls, mc, url, method);
		return (r != NULL ? MHD_YES : MHD_NO);
	}
	if (r->state == REQ_ANSWERED) {
		*size = 0;
		return (reply(r));
	}
	if (*size == 0)
		return (on_complete(r));
	if (!request_body(r, data, *size))
		return (MHD_NO);
	*size = 0;
	return (MHD_YES);
}

static void
on_completed(void *cls, struct MHD_Connection *mc, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	if (*con_cls != NULL)
		request_free(*con_cls);
	*con_cls = NULL;
}

static void __attribute__((format(printf, 2, 0)))
on_log(void *cls, const char *fmt, va_list ap)
{
	char text[300];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	log_line(LOG_DEBUG_, "http library", F_STR("text", text));
}

/* ---- start and stop ------------------------------------------------- */

static enum err
open_door(struct agent *a, struct door *door, int fd)
{
	const struct agent_conf *c = a->conf;
	const struct MHD_OptionItem threads[] = {
		{MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)c->threads, NULL},
		{MHD_OPTION_END, 0, NULL},
	};

	door->agent = a;
	door->fd = fd;
	if (fd < 0)
		return (ERR_OK);
	door->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
	    NULL, NULL, on_request, door,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONN_MEMORY,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)c->connections,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_ARRAY, c->threads > 1 ? threads : threads + 1,
	    MHD_OPTION_END);
	return (door->daemon != NULL ? ERR_OK : ERR_IO);
}

enum err
server_start(struct agent *a, int unix_fd, int tcp_fd, struct detail *d)
{
	const struct agent_conf *c = a->conf;
	enum err e, e2;

	a->unix_door.is_unix = 1;
	a->unix_door.fd = unix_fd;
	a->tcp_door.fd = tcp_fd;
	e = waiters_new((uint32_t)c->waiters, (uint32_t)c->queue,
	    &a->waiters);
	if (e == ERR_OK) {
		e = open_door(a, &a->unix_door, unix_fd);
		e2 = open_door(a, &a->tcp_door, tcp_fd);
		e = e != ERR_OK ? e : e2;
	}
	if (e != ERR_OK) {
		detail_set(d, "the listeners do not start");
		server_stop(a);
	}
	return (e);
}

static void
close_door(struct door *door)
{
	if (door->daemon != NULL)
		MHD_stop_daemon(door->daemon); /* closes the socket */
	else if (door->fd >= 0)
		(void)close(door->fd);
	door->daemon = NULL;
	door->fd = -1;
}

void
server_stop(struct agent *a)
{
	/* nothing may be suspended when its loop ends */
	if (a->waiters != NULL)
		waiters_stop(a->waiters);
	close_door(&a->unix_door);
	close_door(&a->tcp_door);
	waiters_free(&a->waiters);
}
