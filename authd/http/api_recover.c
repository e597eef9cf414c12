#include <stdlib.h>
#include <string.h>

#include "authd/http/server.h"

enum err api_snapshot(struct req *);
enum err api_recover(struct req *);
enum err api_held(struct req *);
enum err api_held_report(struct req *);

#define SNAPSHOT_MAX ((size_t)256 << 20)
#define SMALL ((size_t)1 << 20) /* leaves its place when it is made */

struct snapshot_body {
	struct buf *out;
	int some;
};

static enum err
add_part(void *arg, const struct buf *jws)
{
	struct snapshot_body *b = arg;
	enum err e;

	e = buf_str(b->out, b->some ? ",\"" : "\"");
	if (e == ERR_OK)
		e = buf_add(b->out, jws->p, jws->len);
	if (e == ERR_OK)
		e = buf_str(b->out, "\"");
	b->some = 1;
	return e;
}

enum err
api_snapshot(struct req *r)
{
	struct places *places = &r->conn->listener->http->snapshots;
	const uint64_t who = UINT64_C(1) << 63 | r->caller.number |
	    (uint64_t)r->caller.tenant << 40;
	struct snapshot_body b = {.out = &r->reply.body};
	uint64_t head = 0, floor = 0;
	enum err e;

	/* Held until it has been sent: then its memory is given back. */
	r->place = places_take(places, who);
	if (r->place == 0)
		return ERR_BUSY;
	r->reply.body.max = SNAPSHOT_MAX;
	e = buf_str(b.out, "{\"parts\":[");
	if (e == ERR_OK)
		e = core_snapshot(&r->call, add_part, &b, &head, &floor);
	if (e == ERR_OK)
		e = buf_fmt(b.out, "],\"head\":%llu,\"floor\":%llu}",
		    (unsigned long long)head, (unsigned long long)floor);
	if (e != ERR_OK || b.out->len <= SMALL)
		places_leave(places, &r->place);
	return e;
}

/* Texts borrowed from the array's members. */
static enum err
take_sets(struct req *r, json_t *a, struct recovery *in)
{
	size_t i;

	if (!json_is_array(a) || json_array_size(a) > RECOVER_SETS_MAX) {
		detail_set(&r->call.detail, "member events: an array of at "
		    "most %d signed messages", RECOVER_SETS_MAX);
		return ERR_JSON;
	}
	in->sets = calloc(json_array_size(a) + 1, sizeof(*in->sets));
	if (in->sets == NULL)
		return ERR_NOMEM;
	in->n = json_array_size(a);
	for (i = 0; i < in->n; i++) {
		in->sets[i] = json_string_value(json_array_get(a, i));
		if (in->sets[i] == NULL) {
			detail_set(&r->call.detail, "member events: texts");
			return ERR_JSON;
		}
	}
	return ERR_OK;
}

/* What every body here has; borrowed from it until shown_free. */
struct shown {
	struct recovery in;
	json_t *seen, *keys, *events;
};

static void
shown_free(struct shown *s)
{
	json_decref(s->seen);
	json_decref(s->keys);
	json_decref(s->events);
	free(s->in.sets);
}

/* events is missing only where what is held stands in for it. */
static enum err
shown_take(struct req *r, struct shown *s)
{
	s->in.seen = json_string_value(s->seen);
	s->in.keys = json_string_value(s->keys);
	if ((s->in.seen == NULL) != (s->seen == NULL) ||
	    (s->in.keys == NULL) != (s->keys == NULL)) {
		detail_set(&r->call.detail, "members seen, keys: a heartbeat, "
		    "a key set");
		return ERR_JSON;
	}
	if (!s->in.held)
		return take_sets(r, s->events, &s->in);
	if (s->seen == NULL && s->keys == NULL && s->events == NULL)
		return ERR_OK;
	detail_set(&r->call.detail, "member held: with none but expect");
	return ERR_JSON;
}

static void
shown_read(struct jin *in, struct shown *s)
{
	s->seen = json_incref(jin_any(in, "seen"));
	s->keys = json_incref(jin_any(in, "keys"));
	s->events = json_incref(jin_any(in, "events"));
}

enum err
api_recover(struct req *r)
{
	struct recovered done = {0};
	struct shown s = {.seen = NULL};
	struct jin in;
	enum err e;

	jin_open(&in, r->body.p, r->body.len, &r->call.detail);
	shown_read(&in, &s);
	jin_opt_bool(&in, "held", &s.in.held);
	if (s.in.held)
		jin_u64(&in, "expect", NUMBER_MAX, &s.in.expect);
	e = jin_done(&in);
	if (e == ERR_OK)
		e = shown_take(r, &s);
	if (e == ERR_OK)
		e = core_recover(&r->call, &s.in, &done);
	shown_free(&s);
	return e != ERR_OK ? e : req_json(r, 200, json_pack("{s:I, s:I}",
	    "imported", (json_int_t)done.imported, "position",
	    (json_int_t)done.position));
}

enum err
api_held(struct req *r)
{
	struct held_taken taken = {0};
	struct shown s = {.seen = NULL};
	struct jin in;
	enum err e;

	jin_open(&in, r->body.p, r->body.len, &r->call.detail);
	shown_read(&in, &s);
	e = jin_done(&in);
	if (e == ERR_OK)
		e = shown_take(r, &s);
	if (e == ERR_OK)
		e = core_held_take(&r->call, &s.in, &taken);
	shown_free(&s);
	return e != ERR_OK ? e : req_json(r, 200, json_pack(
	    "{s:I, s:b, s:I}", "after", (json_int_t)taken.after, "known",
	    taken.known, "conflict", (json_int_t)taken.conflict));
}

static json_t *
runs_json(const struct held_report *h)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < h->nruns; i++)
		(void)json_array_append_new(a, json_pack("{s:I, s:I}",
		    "first", (json_int_t)h->runs[i].first,
		    "last", (json_int_t)h->runs[i].last));
	return a;
}

static json_t *
by_json(const struct held_report *h)
{
	const struct held_by *b;
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < h->nby; i++) {
		b = &h->by[i];
		(void)json_array_append_new(a, json_pack(
		    "{s:s, s:I, s:I, s:I, s:o}", "gateway", b->gateway,
		    "first", (json_int_t)b->first,
		    "last", (json_int_t)b->last,
		    "conflict", (json_int_t)b->conflict,
		    "at", jout_time(b->at)));
	}
	return a;
}

enum err
api_held_report(struct req *r)
{
	struct held_report h = {0};
	json_t *o;
	enum err e = core_held_report(&r->call, &h);

	if (e != ERR_OK)
		return e;
	o = json_pack("{s:I, s:I, s:I, s:o, s:o}", "head",
	    (json_int_t)h.head, "lost", (json_int_t)h.lost, "events",
	    (json_int_t)h.events, "runs", runs_json(&h), "gateways",
	    by_json(&h));
	core_held_free(&h);
	return req_json(r, 200, o);
}
