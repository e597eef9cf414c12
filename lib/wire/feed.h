#ifndef WIRE_FEED_H
#define WIRE_FEED_H

#include "lib/wire/wire.h"
#include "lib/model/exchange.h"

/* Revocations, PSK resolution and identity keys for gateways: docs/api.md. */

enum err wire_revocation_request_decode(const char *s, size_t len,
    struct revocation_request *out, struct detail *d) MUST_CHECK;

json_t *wire_event_json(const struct event *e);
enum err wire_event_decode_json(json_t *o, struct event *out,
    struct detail *d) MUST_CHECK;

#define FEED_PAGE_MAX 1000
struct feed_page {
	struct event *events; /* n of them */
	size_t n;
	uint64_t head, floor;
	int64_t time;
	char *set, *heartbeat; /* signed (docs/feed.md); NULL: none */
};
enum err wire_feed_encode(const struct feed_page *p, struct buf *out)
    MUST_CHECK;
enum err wire_feed_decode(const char *s, size_t len, struct feed_page *out,
    struct detail *d) MUST_CHECK;
void feed_page_free(struct feed_page *p);

enum err wire_psk_request_decode(const char *s, size_t len,
    struct psk_request *out, struct detail *d) MUST_CHECK;
enum err wire_psk_request_encode(const struct psk_request *r,
    struct buf *out) MUST_CHECK;

enum err wire_psk_answer_encode(const struct psk_answer *a, struct buf *out)
    MUST_CHECK;
enum err wire_psk_used_encode(const struct psk_used *u, struct buf *out)
    MUST_CHECK;
enum err wire_psk_used_decode(const char *s, size_t len,
    struct psk_used *out, struct detail *d) MUST_CHECK;
enum err wire_psk_answer_decode(const char *s, size_t len,
    struct psk_answer *out, struct detail *d) MUST_CHECK;

enum err wire_identity_keys_encode(const struct identity_keys *k,
    struct buf *out) MUST_CHECK;
enum err wire_identity_keys_decode(const char *s, size_t len,
    struct identity_keys *out, struct detail *d) MUST_CHECK;

#endif
