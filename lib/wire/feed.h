#ifndef WIRE_FEED_H
#define WIRE_FEED_H

#include "lib/wire/wire.h"
#include "lib/model/event.h"
#include "lib/model/device.h"

/* Revocations, PSK resolution and identity keys for gateways: docs/api.md. */

struct revocation_request {
	enum event_kind kind;
	enum event_effect effect;
	name_t id; /* device_id, group number, "" or jti */
	int64_t exp;
	int has_expect;
	uint64_t expect;
	int dry_run;
	char reason[201];
};
enum err wire_revocation_request_decode(const char *s, size_t len,
    struct revocation_request *out, struct detail *d) MUST_CHECK;
enum err wire_revocation_request_encode(const struct revocation_request *r,
    struct buf *out) MUST_CHECK;

json_t *wire_event_json(const struct event *e);
enum err wire_event_decode_json(json_t *o, struct event *out,
    struct detail *d) MUST_CHECK;

#define FEED_PAGE_MAX 1000
struct feed_page {
	struct event *events; /* n of them */
	size_t n;
	uint64_t head, floor;
	int64_t time;
};
enum err wire_feed_encode(const struct feed_page *p, struct buf *out)
    MUST_CHECK;
enum err wire_feed_decode(const char *s, size_t len, struct feed_page *out,
    struct detail *d) MUST_CHECK;
void feed_page_free(struct feed_page *p);

struct psk_request {
	char identity[PSKID_LEN + 1];
	name_t audience;
	int tls; /* 12 or 13 */
};
enum err wire_psk_request_decode(const char *s, size_t len,
    struct psk_request *out, struct detail *d) MUST_CHECK;
enum err wire_psk_request_encode(const struct psk_request *r,
    struct buf *out) MUST_CHECK;

struct psk_answer {
	struct key32 key;
	name_t device_id;
	uint64_t dn;
	uint32_t epoch;
	uint32_t groups[DEVICE_GROUPS_MAX];
	uint32_t ngroups;
	uint64_t pos;
};
enum err wire_psk_answer_encode(const struct psk_answer *a, struct buf *out)
    MUST_CHECK;
enum err wire_psk_answer_decode(const char *s, size_t len,
    struct psk_answer *out, struct detail *d) MUST_CHECK;

#define IDENTITY_KEYS_MAX 16
struct identity_keys {
	name_t audience;
	uint32_t tenant;
	uint32_t n;
	uint8_t kid[IDENTITY_KEYS_MAX];
	struct key32 key[IDENTITY_KEYS_MAX];
};
enum err wire_identity_keys_encode(const struct identity_keys *k,
    struct buf *out) MUST_CHECK;
enum err wire_identity_keys_decode(const char *s, size_t len,
    struct identity_keys *out, struct detail *d) MUST_CHECK;

#endif
