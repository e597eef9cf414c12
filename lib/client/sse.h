#ifndef CLIENT_SSE_H
#define CLIENT_SSE_H

#include "lib/base/buf.h"

/*
 * Server-sent events (WHATWG HTML, section 9.2.6), as octets come in. UTF-8
 * is not checked: what is in data is checked by whoever reads it. Bounded: a
 * line or message beyond the maximum is an error.
 */
struct sse_message {
	const char *event; /* "message" when none was named */
	const char *id;	   /* the last one given; "" before */
	const char *data;  /* len octets and a NUL */
	size_t len;
};
/* Anything but ERR_OK ends the reading with that error. */
typedef enum err sse_fn(void *arg, const struct sse_message *m);

#define SSE_WORD 64 /* room for a name or an id; longer ones are cut */
struct sse {
	struct buf line, data;
	char event[SSE_WORD], id[SSE_WORD];
	int after_cr, has_data, first;
	sse_fn *fn;
	void *arg;
};
/* Starts anew; max octets of one message's data. */
void sse_init(struct sse *s, size_t max, sse_fn *fn, void *arg);
void sse_free(struct sse *s);
/* ERR_TOO_LARGE, ERR_NOMEM, or what fn said; then it is over. */
enum err sse_feed(struct sse *s, const char *p, size_t len) MUST_CHECK;

#endif
