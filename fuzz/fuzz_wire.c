/*
 * Each JSON message: the first octet names the decoder. What one takes is
 * written again and read again to the same value.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "lib/wire/burn.h"
#include "lib/wire/feed.h"
#include "lib/wire/problem.h"
#include "lib/wire/registry.h"

/* A message of type T with its own decoder and encoder. */
#define BOTH_WAYS(T, decode, encode)                                          \
	static void both_##T(const char *s, size_t len)                       \
	{                                                                     \
		struct buf out = {.max = 1 << 20};                            \
		struct detail d = {""};                                       \
		static struct T a, b;                                         \
		memset(&a, 0, sizeof(a));                                     \
		memset(&b, 0, sizeof(b));                                     \
		if (decode(s, len, &a, &d) != ERR_OK)                         \
			return;                                               \
		PROMISE(encode(&a, &out) == ERR_OK);                          \
		PROMISE(decode(out.p, out.len, &b, &d) == ERR_OK);            \
		PROMISE(memcmp(&a, &b, sizeof(a)) == 0);                      \
		buf_free(&out);                                               \
	}
BOTH_WAYS(release_request, wire_release_request_decode,
    wire_release_request_encode)
BOTH_WAYS(release, wire_release_decode, wire_release_encode)
BOTH_WAYS(confirm, wire_confirm_decode, wire_confirm_encode)
BOTH_WAYS(psk_request, wire_psk_request_decode, wire_psk_request_encode)
BOTH_WAYS(psk_answer, wire_psk_answer_decode, wire_psk_answer_encode)
BOTH_WAYS(identity_keys, wire_identity_keys_decode,
    wire_identity_keys_encode)

/* These are written as parts of others, by a function that gives JSON. */
static enum err
order_encode(const struct order *o, struct buf *out)
{
	return jout(wire_order_json(o), out);
}
BOTH_WAYS(order, wire_order_decode, order_encode)

static enum err
device_decode(const char *s, size_t len, struct device *out, struct detail *d)
{
	json_t *o = json_loadb(s, len, JSON_REJECT_DUPLICATES, NULL);
	enum err e = wire_device_decode_json(o, out, d);

	json_decref(o);
	return e;
}

static enum err
device_encode(const struct device *dev, struct buf *out)
{
	return jout(wire_device_json(dev), out);
}
BOTH_WAYS(device, device_decode, device_encode)

static void
feed(const char *s, size_t len)
{
	struct feed_page p = {0}, q = {0};
	struct buf out = {.max = 1 << 22};

	if (wire_feed_decode(s, len, &p, NULL) != ERR_OK)
		return;
	PROMISE(wire_feed_encode(&p, &out) == ERR_OK);
	PROMISE(wire_feed_decode(out.p, out.len, &q, NULL) == ERR_OK);
	PROMISE(p.n == q.n && p.head == q.head && p.floor == q.floor);
	PROMISE(p.n == 0 ||
	    memcmp(p.events, q.events, p.n * sizeof(*p.events)) == 0);
	feed_page_free(&p);
	feed_page_free(&q);
	buf_free(&out);
}

static void
key(const char *s, size_t len)
{
	struct secret in = {0}, out = {0};
	uint32_t epoch, epoch2;
	struct key32 k, k2;
	name_t id, id2;

	if (secret_set(&in, s, len) != ERR_OK)
		return;
	if (wire_key_decode(&in, id, &epoch, &k) == ERR_OK) {
		PROMISE(wire_key_encode(id, epoch, &k, &out) == ERR_OK);
		PROMISE(wire_key_decode(&out, id2, &epoch2, &k2) == ERR_OK);
		PROMISE(epoch == epoch2 && strcmp(id, id2) == 0 &&
		    memcmp(&k, &k2, sizeof(k)) == 0);
	}
	secret_free(&in);
	secret_free(&out);
}

static void
serial(const char *s, size_t len)
{
	name_t n;

	if (wire_serial_decode(s, len, n, NULL) == ERR_OK)
		PROMISE(name_is_serial(n));
}

static void
names(const char *s, size_t len)
{
	char reason[201];
	name_t n;

	if (wire_group_request_decode(s, len, n, NULL) == ERR_OK)
		PROMISE(name_is_order(n));
	if (wire_tenant_request_decode(s, len, n, NULL) == ERR_OK)
		PROMISE(name_is_tenant(n));
	(void)!wire_reason_decode(s, len, reason, NULL);
	(void)!wire_reason_decode(s, len, NULL, NULL);
}

static void
order_request(const char *s, size_t len)
{
	static struct order o;

	if (wire_order_request_decode(s, len, &o, NULL) == ERR_OK)
		PROMISE(order_validate(&o, NULL) == ERR_OK);
}

static void
revocation_request(const char *s, size_t len)
{
	static struct revocation_request r;

	if (wire_revocation_request_decode(s, len, &r, NULL) == ERR_OK)
		PROMISE(r.id[0] != '\0' && r.expect <= NUMBER_MAX &&
		    strlen(r.reason) < sizeof(r.reason));
}

static void
requests(const char *s, size_t len)
{
	static struct caller c;
	struct audience a;

	if (wire_audience_request_decode(s, len, &a, NULL) == ERR_OK)
		PROMISE(name_is_host(a.host) && a.port > 0);
	if (wire_caller_request_decode(s, len, &c, NULL) == ERR_OK)
		PROMISE(name_is_order(c.name) &&
		    c.naudiences <= CALLER_AUDIENCES_MAX);
}

static void
problem(const char *s, size_t len)
{
	static const int statuses[] = {200, 400, 401, 404, 409, 500, 503};
	struct problem p;
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		wire_problem_decode(statuses[i], s, len, &p);
		PROMISE(p.err != ERR_OK);
		PROMISE(strlen(p.detail) < sizeof(p.detail));
	}
}

void
fuzz_wire(const uint8_t *p, size_t len)
{
	static void (*const all[])(const char *, size_t) = {
	    both_release_request, both_release, both_confirm,
	    revocation_request, both_psk_request, both_psk_answer,
	    both_identity_keys, both_order, both_device, feed, key, serial,
	    names, order_request, requests, problem};

	if (len == 0)
		return;
	all[(p[0] & 0x3f) % (sizeof(all) / sizeof(all[0]))](
	    (const char *)p + 1, len - 1);
}
