#include "lib/jose/set.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/jose/jws.h"
#include "lib/wire/feed.h"

#define TYP_SET "secevent+jwt"
#define TYP_HEARTBEAT "fealty-heartbeat+jwt"
#define TYP_SNAPSHOT "fealty-snapshot+jwt"
#define URN "urn:fealty:event:revocations"
#define PARTS_MAX UINT32_MAX

/* ---- writing ---- */

/* Written directly: no name of ours needs escaping; what would is refused. */
static int
plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < 0x20 || *s > 0x7e || *s == '"' || *s == '\\')
			return 0;
	return 1;
}

static enum err
add_event(struct buf *b, const struct event *e)
{
	char at[TIME_TEXT];

	if (!plain(e->id) || e->id[0] == '\0' || e->pos == 0)
		return ERR_REQUEST;
	format_time(e->at, at);
	return buf_fmt(b, "{\"pos\":%" PRIu64 ",\"kind\":\"%s\",\"id\":"
	    "\"%s\",\"effect\":\"%s\",\"ep_max\":%" PRIu32 ",\"exp\":%"
	    PRId64 ",\"at\":\"%s\"}", e->pos, event_kind_name(e->kind),
	    e->id, event_effect_name(e->effect), e->ep_max, e->exp, at);
}

static enum err
add_run(struct buf *b, const struct event *ev, size_t n)
{
	enum err e;
	size_t i;

	e = buf_str(b, "\"run\":[");
	for (i = 0; e == ERR_OK && i < n; i++) {
		if (i > 0)
			e = buf_add(b, ",", 1);
		if (e == ERR_OK)
			e = add_event(b, &ev[i]);
	}
	return e == ERR_OK ? buf_str(b, "]") : e;
}

/* Consecutive from behind after on; head covers them. */
static int
run_ok(const struct set_run *r)
{
	size_t i;

	if (r->n < 1 || r->n > SET_EVENTS_MAX ||
	    r->events[0].pos <= r->after || r->head > NUMBER_MAX ||
	    r->events[r->n - 1].pos > r->head)
		return 0;
	for (i = 1; i < r->n; i++)
		if (r->events[i].pos != r->events[i - 1].pos + 1)
			return 0;
	return 1;
}

enum err
set_sign(const struct signer *feed, const char *iss, int64_t now,
    const struct set_run *run, struct buf *out)
{
	struct buf b = {.max = SET_JSON_MAX};
	enum err e;

	if (!run_ok(run) || !plain(iss) || now < 0)
		return ERR_REQUEST;
	e = buf_fmt(&b, "{\"iss\":\"%s\",\"iat\":%" PRId64 ",\"jti\":\"%"
	    PRIu64 "\",\"events\":{\"" URN "\":{\"after\":%" PRIu64
	    ",\"head\":%" PRIu64 ",", iss, now, run->events[run->n - 1].pos,
	    run->after, run->head);
	if (e == ERR_OK)
		e = add_run(&b, run->events, run->n);
	if (e == ERR_OK)
		e = buf_str(&b, "}}}");
	if (e == ERR_OK)
		e = jws_sign(feed, TYP_SET, b.p, b.len, out);
	buf_free(&b);
	return e;
}

static int
beat_ok(const struct heartbeat *h)
{
	return h->head <= NUMBER_MAX && h->floor <= h->head &&
	    h->time_ms >= 0 && h->time_ms <= (int64_t)NUMBER_MAX;
}

enum err
heartbeat_sign(const struct signer *feed, const char *iss,
    const struct heartbeat *h, struct buf *out)
{
	struct buf b = {.max = 2048};
	enum err e;

	if (!beat_ok(h) || !plain(iss))
		return ERR_REQUEST;
	e = buf_fmt(&b, "{\"iss\":\"%s\",\"head\":%" PRIu64 ",\"floor\":%"
	    PRIu64 ",\"time\":%" PRId64 "}", iss, h->head, h->floor,
	    h->time_ms);
	if (e == ERR_OK)
		e = jws_sign(feed, TYP_HEARTBEAT, b.p, b.len, out);
	buf_free(&b);
	return e;
}

static int
part_ok(const struct snapshot_part *p)
{
	size_t i;

	if (p->n > SET_EVENTS_MAX || p->part < 1 || p->part > p->parts ||
	    p->head > NUMBER_MAX || p->floor > p->head)
		return 0;
	for (i = 0; i < p->n; i++)
		if (p->events[i].pos > p->head ||
		    (i > 0 && p->events[i].pos <= p->events[i - 1].pos))
			return 0;
	return 1;
}

enum err
snapshot_sign(const struct signer *feed, const char *iss, int64_t now,
    const struct snapshot_part *p, struct buf *out)
{
	struct buf b = {.max = SET_JSON_MAX};
	enum err e;

	if (!part_ok(p) || !plain(iss) || now < 0)
		return ERR_REQUEST;
	e = buf_fmt(&b, "{\"iss\":\"%s\",\"iat\":%" PRId64 ",\"head\":%"
	    PRIu64 ",\"floor\":%" PRIu64 ",\"part\":%" PRIu32
	    ",\"parts\":%" PRIu32 ",", iss, now, p->head, p->floor, p->part,
	    p->parts);
	if (e == ERR_OK)
		e = add_run(&b, p->events, p->n);
	if (e == ERR_OK)
		e = buf_str(&b, "}");
	if (e == ERR_OK)
		e = jws_sign(feed, TYP_SNAPSHOT, b.p, b.len, out);
	buf_free(&b);
	return e;
}

/* ---- reading ---- */

static enum err
open_claims(const struct jwks *feed, const char *typ, const char *text,
    size_t len, json_t **o, struct detail *d)
{
	const struct jws_keys keys = {.set = feed};

	return jws_open(&keys, typ, text, len, o, d);
}

static void
read_run(struct jin *in, struct event **events, size_t *count)
{
	struct event *ev;
	size_t i, n = 0;
	json_t *a = jin_array(in, "run", SET_EVENTS_MAX, &n);

	if (in->err != ERR_OK || n == 0)
		return;
	ev = calloc(n, sizeof(*ev));
	if (ev == NULL) {
		jin_fail(in, ERR_NOMEM, "out of memory");
		return;
	}
	for (i = 0; in->err == ERR_OK && i < n; i++)
		in->err = wire_event_decode_json(json_array_get(a, i), &ev[i],
		    in->d);
	*events = ev;
	*count = n;
}

static void
read_iat(struct jin *in)
{
	uint64_t iat;

	jin_u64(in, "iat", NUMBER_MAX, &iat);
}

/* The one event of RFC 8417 section 2.2 that we know. */
static void
read_events(struct jin *in, struct set_run *r)
{
	struct jin events, body;

	jin_object(in, "events", &events);
	jin_object(&events, URN, &body);
	jin_u64(&body, "after", NUMBER_MAX, &r->after);
	jin_u64(&body, "head", NUMBER_MAX, &r->head);
	read_run(&body, &r->events, &r->n);
	jin_close(&events, &body);
	jin_close(in, &events);
}

/* jti is the last position: a SET has one name. */
static int
jti_ok(const struct set_run *r, const char *jti)
{
	uint64_t pos;

	return parse_u64(jti, NUMBER_MAX, &pos) == ERR_OK && r->n > 0 &&
	    pos == r->events[r->n - 1].pos;
}

enum err
set_verify(const struct jwks *feed, const char *iss, const char *text,
    size_t len, struct set_run *out, struct detail *d)
{
	struct set_run r = {0};
	char who[ISSUER_MAX + 1] = "", jti[32] = "";
	json_t *o = NULL;
	struct jin in;
	enum err e;

	e = open_claims(feed, TYP_SET, text, len, &o, d);
	if (e != ERR_OK)
		return e;
	jin_value(&in, o, d);
	jin_str(&in, "iss", who, sizeof(who));
	read_iat(&in);
	jin_str(&in, "jti", jti, sizeof(jti));
	read_events(&in, &r);
	if (in.err == ERR_OK && !run_ok(&r))
		jin_fail(&in, ERR_JSON, "run: not consecutive");
	if (in.err == ERR_OK && !jti_ok(&r, jti))
		jin_fail(&in, ERR_JSON, "jti: not the last position");
	e = jws_done(&in, iss, who);
	json_decref(o);
	if (e == ERR_OK)
		*out = r;
	else
		set_run_free(&r);
	return e;
}

void
set_run_free(struct set_run *run)
{
	if (run == NULL)
		return;
	free(run->events);
	memset(run, 0, sizeof(*run));
}

enum err
heartbeat_verify(const struct jwks *feed, const char *iss, const char *text,
    size_t len, struct heartbeat *out, struct detail *d)
{
	char who[ISSUER_MAX + 1] = "";
	struct heartbeat h = {0};
	uint64_t t = 0;
	json_t *o = NULL;
	struct jin in;
	enum err e;

	e = open_claims(feed, TYP_HEARTBEAT, text, len, &o, d);
	if (e != ERR_OK)
		return e;
	jin_value(&in, o, d);
	jin_str(&in, "iss", who, sizeof(who));
	jin_u64(&in, "head", NUMBER_MAX, &h.head);
	jin_u64(&in, "floor", NUMBER_MAX, &h.floor);
	jin_u64(&in, "time", NUMBER_MAX, &t);
	h.time_ms = (int64_t)t;
	if (in.err == ERR_OK && !beat_ok(&h))
		jin_fail(&in, ERR_JSON, "floor: above the head");
	e = jws_done(&in, iss, who);
	json_decref(o);
	if (e == ERR_OK)
		*out = h;
	return e;
}

enum err
snapshot_verify(const struct jwks *feed, const char *iss, const char *text,
    size_t len, struct snapshot_part *out, struct detail *d)
{
	char who[ISSUER_MAX + 1] = "";
	struct snapshot_part p = {0};
	json_t *o = NULL;
	struct jin in;
	enum err e;

	e = open_claims(feed, TYP_SNAPSHOT, text, len, &o, d);
	if (e != ERR_OK)
		return e;
	jin_value(&in, o, d);
	jin_str(&in, "iss", who, sizeof(who));
	read_iat(&in);
	jin_u64(&in, "head", NUMBER_MAX, &p.head);
	jin_u64(&in, "floor", NUMBER_MAX, &p.floor);
	jin_u32(&in, "part", PARTS_MAX, &p.part);
	jin_u32(&in, "parts", PARTS_MAX, &p.parts);
	read_run(&in, &p.events, &p.n);
	if (in.err == ERR_OK && !part_ok(&p))
		jin_fail(&in, ERR_JSON, "part, floor or run: out of order");
	e = jws_done(&in, iss, who);
	json_decref(o);
	if (e == ERR_OK)
		*out = p;
	else
		snapshot_part_free(&p);
	return e;
}

void
snapshot_part_free(struct snapshot_part *p)
{
	if (p == NULL)
		return;
	free(p->events);
	memset(p, 0, sizeof(*p));
}
