#ifndef TESTS_FEED_KIT_H
#define TESTS_FEED_KIT_H

#include "tests/scenario/world.h"

#include "lib/jose/set.h"
#include "tests/scenario/sse.h"

/*
 * The feed of two authd on one database, the second without wake-ups. What
 * is expected and does not come fails the test.
 */
struct feed {
	struct world w;
	struct authd_fixture *second;
	struct jwks *keys; /* of the feed, once a stream was listened at */
};
#define FEED_NONE UINT64_MAX /* no position asked for */
void feed_open(struct feed *f);
void feed_close(struct feed *f);
uint16_t feed_port(const struct feed *f); /* of the first */
/* A stream, its keys taken, its first heartbeat read. */
struct sse *feed_listen(struct feed *f, uint16_t port, uint64_t after);
/* Takes the keys of a signed key set: the authority's word is enough here. */
void feed_keys(struct feed *f, const char *jws, size_t len);
/* The next message of that name. */
void feed_wait(struct sse *s, const char *name, int ms, struct sse_event *e);
/* The run that a message carries, verified. Free it. */
void feed_read(const struct feed *f, const struct sse_event *e,
    struct set_run *run);
/* Revokes a token of that name; its position, or 0. From any thread. */
uint64_t feed_revoke(const struct feed *f, uint16_t port, const char *jti);
int64_t feed_now_ms(void); /* monotonic */

#endif
