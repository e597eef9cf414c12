#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdint.h>
#include <stdio.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"

/*
 * The two listeners of authd (docs/api.md): the API, and the device listener
 * with TLS-PSK only. Nothing outside this folder knows libmicrohttpd or
 * GnuTLS.
 */
struct core;
struct http;

/* Once, first of all in main: what is parsed is wiped when freed. */
void http_init(void);

#define HTTP_HOST_MAX 63
/*
 * A bound socket for "ADDRESS:PORT" ("[V6]:PORT"; port 0: any). Nobody can
 * connect before http_start. loopback_only 1 refuses (ERR_CONFIG) any other
 * address. host gets the address as it stands in a URL, port the bound one.
 */
enum err http_bind(const char *where, int loopback_only, int *fd,
    char host[HTTP_HOST_MAX + 1], uint16_t *port,
    struct detail *d) MUST_CHECK;

struct http_conf {
	struct core *core;
	int api_fd, device_fd; /* of http_bind; owned by http_start */
	const char *tls_cert, *tls_key; /* files of the API, or NULL */
	uint32_t threads;	 /* event loops; 0: one for each core */
	uint32_t device_threads; /* of the device listener; they may block */
	uint32_t workers;
	uint32_t queue;		 /* requests that may wait for a worker */
	uint32_t deadline_ms;	 /* of a request's wait */
	uint32_t connections;	 /* of each listener */
	uint32_t per_address;	 /* of those from one address; 0: no limit */
	const struct clock *clock;
};
/* On an error both sockets are closed. */
enum err http_start(const struct http_conf *conf, struct http **out,
    struct detail *d) MUST_CHECK;
/*
 * No new connections; waits at most ms for the requests under way. Then stop
 * refuses what still waits, and waits for what runs.
 */
void http_drain(struct http *h, uint32_t ms);
void http_stop(struct http **h);

/* The route table as lines "LISTENER METHOD PATH ROLES MAX-BODY". */
void http_print_routes(FILE *out);

#endif
