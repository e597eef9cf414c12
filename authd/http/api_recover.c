#include <stdlib.h>
#include <string.h>

#include "authd/http/server.h"

enum err api_snapshot(struct req *);
enum err api_recover(struct req *);

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

static enum err
recover(struct req *r, json_t *const shown[2], json_t *events,
    struct recovered *out)
{
	struct recovery in = {.seen = json_string_value(shown[0]),
	    .keys = json_string_value(shown[1])};
	enum err e;

	if ((in.seen == NULL) != (shown[0] == NULL) ||
	    (in.keys == NULL) != (shown[1] == NULL)) {
		detail_set(&r->call.detail, "members seen, keys: a heartbeat, "
		    "a key set");
		return ERR_JSON;
	}
	e = take_sets(r, events, &in);
	if (e == ERR_OK)
		e = core_recover(&r->call, &in, out);
	free(in.sets);
	return e;
}

enum err
api_recover(struct req *r)
{
	struct recovered done = {0};
	json_t *shown[2], *events;
	struct jin in;
	enum err e, form;

	jin_open(&in, r->body.p, r->body.len, &r->call.detail);
	shown[0] = json_incref(jin_any(&in, "seen"));
	shown[1] = json_incref(jin_any(&in, "keys"));
	events = json_incref(jin_any(&in, "events"));
	form = jin_done(&in);
	e = form == ERR_OK ? recover(r, shown, events, &done) : form;
	json_decref(shown[0]);
	json_decref(shown[1]);
	json_decref(events);
	return e != ERR_OK ? e : req_json(r, 200, json_pack("{s:I, s:I}",
	    "imported", (json_int_t)done.imported, "position",
	    (json_int_t)done.position));
}
