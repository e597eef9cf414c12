#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include <stdint.h>
#include "lib/base/secret.h"
#include "lib/client/sse.h"
#include "lib/wire/problem.h"

/*
 * An answer that does not end: server-sent events over one GET, under the
 * same rules as a client's requests (client.h). One thread at a time, but
 * for stream_wake.
 */
struct stream;
struct stream_conf {
	const char *url;		 /* base URL */
	const char *ca_file;		 /* NULL: the system's */
	const struct secret *credential; /* copied */
	uint32_t connect_ms;
	size_t message_max; /* octets of one message */
	sse_fn *message;    /* called by stream_run */
	void *arg;
};
enum err stream_new(const struct stream_conf *conf, struct stream **out)
    MUST_CHECK;
void stream_free(struct stream **s);
/*
 * Begins anew: GET path with these header lines as well (NULL ends them; at
 * most 8). Nothing is sent before stream_run.
 */
enum err stream_start(struct stream *s, const char *path,
    const char *const *headers) MUST_CHECK;
/*
 * Takes what has come, or waits for it at most wait_ms or until woken.
 * ERR_OK: it goes on. Else it is over: what message said, ERR_NETWORK, the
 * error of a problem document, or ERR_NOT_FOUND when there is no stream at
 * that path; why tells.
 */
enum err stream_run(struct stream *s, uint32_t wait_ms, struct problem *why)
    MUST_CHECK;
void stream_stop(struct stream *s);
/* Ends a wait, now or the next one. From any thread. */
void stream_wake(struct stream *s);

#endif
