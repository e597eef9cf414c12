#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <stdint.h>
#include <microhttpd.h>
#include "authd/core/core.h"

/*
 * Requests that wait for the feed: server-sent events (docs/feed.md), and
 * the long poll. No thread waits with them; a connection sleeps, suspended,
 * until the feed, the clock or the server's end wakes it.
 */
struct http;
struct req;
struct stream;
struct streams;

/* Of so many connections: three in four may wait, half of them for one
 * tenant, so that there is always one to revoke by. ERR_BUSY beyond. */
enum err streams_new(uint32_t connections, struct streams **out) MUST_CHECK;
void streams_free(struct streams **ss); /* no stream left */
/* Wakes all; none sleeps again: streams say bye, polls are answered. */
void streams_drain(struct streams *ss);
/* Answers the polls whose time is over. */
void streams_tick(struct streams *ss, int64_t now_ms);

/* Server-sent events from now on (after as of core_sub_open). */
enum err stream_open(struct req *r, uint64_t after) MUST_CHECK;
/* The request sleeps at most wait seconds, then its handler runs again. */
enum err stream_poll(struct req *r, uint64_t after, uint64_t wait) MUST_CHECK;
/* 1 when the handler asked to sleep; then stream_sleep, r not touched. */
int stream_is_poll(const struct req *r);
void stream_sleep(struct req *r);
/* The answer of a stream that was opened. NULL without memory. */
struct MHD_Response *stream_response(struct req *r);
/* On a worker: what a stream asked the store for; then back to its loop. */
void stream_fill(struct req *r, enum err why);
/* Closes what the request has of this; again without harm. */
void stream_end(struct req *r);

#endif
