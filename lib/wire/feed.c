#include "lib/wire/feed.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"

enum err
wire_revocation_request_decode(const char *s, size_t len,
    struct revocation_request *out, struct detail *d)
{
	struct revocation_request r;
	char kind[16] = "", effect[16] = "";
	uint64_t exp = 0, expect = UINT64_MAX;
	struct jin in;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	jin_str(&in, "kind", kind, sizeof(kind));
	jin_str(&in, "id", r.id, sizeof(r.id));
	jin_str(&in, "effect", effect, sizeof(effect));
	jin_opt_u64(&in, "exp", NUMBER_MAX, &exp);
	jin_opt_u64(&in, "expect", NUMBER_MAX, &expect);
	jin_opt_bool(&in, "dry_run", &r.dry_run);
	jin_opt_str(&in, "reason", r.reason, sizeof(r.reason));
	if (in.err == ERR_OK && event_kind_parse(kind, &r.kind) != ERR_OK)
		jin_fail(&in, ERR_JSON, "member kind: device, group, …");
	if (in.err == ERR_OK &&
	    event_effect_parse(effect, &r.effect) != ERR_OK)
		jin_fail(&in, ERR_JSON, "member effect: cut, block or lift");
	e = jin_done(&in);
	if (e != ERR_OK)
		return e;
	r.exp = (int64_t)exp;
	r.has_expect = expect != UINT64_MAX;
	r.expect = r.has_expect ? expect : 0;
	*out = r;
	return ERR_OK;
}

enum err
wire_revocation_request_encode(const struct revocation_request *r,
    struct buf *out)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "kind",
	    event_kind_name(r->kind), "id", r->id, "effect",
	    event_effect_name(r->effect));
	int bad = o == NULL;

	if (r->exp != 0)
		bad |= json_object_set_new(o, "exp",
		    json_integer(r->exp)) != 0;
	if (r->has_expect)
		bad |= json_object_set_new(o, "expect",
		    json_integer((json_int_t)r->expect)) != 0;
	if (r->dry_run)
		bad |= json_object_set_new(o, "dry_run", json_true()) != 0;
	if (r->reason[0] != '\0')
		bad |= json_object_set_new(o, "reason",
		    json_string(r->reason)) != 0;
	if (bad) {
		json_decref(o);
		o = NULL;
	}
	return jout(o, out);
}

json_t *
wire_event_json(const struct event *e)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I}", "pos",
	    (json_int_t)e->pos, "kind", event_kind_name(e->kind), "id", e->id,
	    "effect", event_effect_name(e->effect), "ep_max",
	    (json_int_t)e->ep_max, "exp", (json_int_t)e->exp, "at",
	    (json_int_t)e->at);
}

enum err
wire_event_decode_json(json_t *o, struct event *out, struct detail *d)
{
	struct jin in = {.o = json_incref(o), .d = d};
	char kind[16] = "", effect[16] = "";
	uint64_t exp = 0, at = 0;
	struct event ev;
	enum err e;

	memset(&ev, 0, sizeof(ev));
	if (!json_is_object(o))
		jin_fail(&in, ERR_JSON, "an event is no object");
	jin_u64(&in, "pos", NUMBER_MAX, &ev.pos);
	jin_str(&in, "kind", kind, sizeof(kind));
	jin_str(&in, "id", ev.id, sizeof(ev.id));
	jin_str(&in, "effect", effect, sizeof(effect));
	jin_u32(&in, "ep_max", UINT32_MAX, &ev.ep_max);
	jin_u64(&in, "exp", NUMBER_MAX, &exp);
	jin_u64(&in, "at", NUMBER_MAX, &at);
	if (in.err == ERR_OK && event_kind_parse(kind, &ev.kind) != ERR_OK)
		jin_fail(&in, ERR_JSON, "member kind: unknown");
	if (in.err == ERR_OK &&
	    event_effect_parse(effect, &ev.effect) != ERR_OK)
		jin_fail(&in, ERR_JSON, "member effect: unknown");
	e = jin_done(&in);
	if (e != ERR_OK)
		return e;
	ev.exp = (int64_t)exp;
	ev.at = (int64_t)at;
	*out = ev;
	return ERR_OK;
}

enum err
wire_feed_encode(const struct feed_page *p, struct buf *out)
{
	json_t *rows = json_array();
	size_t i;

	for (i = 0; rows != NULL && i < p->n; i++)
		if (json_array_append_new(rows,
			wire_event_json(&p->events[i])) != 0) {
			json_decref(rows);
			return ERR_NOMEM;
		}
	return jout(json_pack("{s:o, s:I, s:I, s:I}", "events", rows, "head",
			(json_int_t)p->head, "floor", (json_int_t)p->floor,
			"time", (json_int_t)p->time),
	    out);
}

/* The events of an array, in order of position as the sender promised. */
static void
take_events(struct jin *in, struct feed_page *page)
{
	json_t *rows = jin_any(in, "events");
	json_t *row;
	size_t i;

	if (in->err != ERR_OK)
		return;
	if (!json_is_array(rows) || json_array_size(rows) > FEED_PAGE_MAX) {
		jin_fail(in, ERR_JSON, "member events: at most %d events",
		    FEED_PAGE_MAX);
		return;
	}
	page->events = calloc(json_array_size(rows) + 1,
	    sizeof(*page->events));
	if (page->events == NULL) {
		jin_fail(in, ERR_NOMEM, "out of memory");
		return;
	}
	json_array_foreach(rows, i, row) {
		enum err e = wire_event_decode_json(row, &page->events[i],
		    in->d);

		if (e != ERR_OK) {
			jin_fail(in, e, "member events: malformed");
			return;
		}
		if (i > 0 && page->events[i].pos <= page->events[i - 1].pos) {
			jin_fail(in, ERR_JSON, "member events: out of order");
			return;
		}
	}
	page->n = json_array_size(rows);
}

enum err
wire_feed_decode(const char *s, size_t len, struct feed_page *out,
    struct detail *d)
{
	struct feed_page page;
	uint64_t time = 0;
	struct jin in;
	enum err e;

	memset(&page, 0, sizeof(page));
	jin_open(&in, s, len, d);
	take_events(&in, &page);
	jin_u64(&in, "head", NUMBER_MAX, &page.head);
	jin_u64(&in, "floor", NUMBER_MAX, &page.floor);
	jin_u64(&in, "time", NUMBER_MAX, &time);
	e = jin_done(&in);
	if (e != ERR_OK) {
		feed_page_free(&page);
		return e;
	}
	page.time = (int64_t)time;
	*out = page;
	return ERR_OK;
}

void
feed_page_free(struct feed_page *p)
{
	if (p == NULL)
		return;
	free(p->events);
	memset(p, 0, sizeof(*p));
}

enum err
wire_psk_request_decode(const char *s, size_t len, struct psk_request *out,
    struct detail *d)
{
	struct psk_request r;
	char tls[8] = "";
	struct jin in;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	jin_str(&in, "identity", r.identity, sizeof(r.identity));
	jin_str(&in, "audience", r.audience, sizeof(r.audience));
	jin_str(&in, "tls", tls, sizeof(tls));
	r.tls = strcmp(tls, "1.3") == 0 ? 13 : strcmp(tls, "1.2") == 0 ? 12 :
									  0;
	if (r.tls == 0)
		jin_fail(&in, ERR_JSON, "member tls: \"1.3\" or \"1.2\"");
	if (in.err == ERR_OK && !name_is_audience(r.audience))
		jin_fail(&in, ERR_JSON, "member audience: no audience name");
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

enum err
wire_psk_request_encode(const struct psk_request *r, struct buf *out)
{
	return jout(json_pack("{s:s, s:s, s:s}", "identity", r->identity,
			"audience", r->audience, "tls",
			r->tls == 13 ? "1.3" : "1.2"),
	    out);
}

static json_t *
key_json(const struct key32 *k)
{
	char text[B64URL_LEN(KEY32_LEN) + 1];
	json_t *v;

	b64url_encode(k->b, sizeof(k->b), text);
	v = json_string(text);
	wipe(text, sizeof(text));
	return v;
}

enum err
wire_psk_answer_encode(const struct psk_answer *a, struct buf *out)
{
	json_t *groups = json_array();
	uint32_t i;

	for (i = 0; i < a->ngroups; i++)
		if (json_array_append_new(groups,
			json_integer(a->groups[i])) != 0) {
			json_decref(groups);
			return ERR_NOMEM;
		}
	return jout(json_pack("{s:o, s:s, s:I, s:I, s:o, s:I}", "key",
			key_json(&a->key), "device_id", a->device_id,
			"device_number", (json_int_t)a->dn, "epoch",
			(json_int_t)a->epoch, "groups", groups, "position",
			(json_int_t)a->pos),
	    out);
}

enum err
wire_psk_answer_decode(const char *s, size_t len, struct psk_answer *out,
    struct detail *d)
{
	struct psk_answer a;
	struct jin in;
	enum err e;

	memset(&a, 0, sizeof(a));
	jin_open(&in, s, len, d);
	jin_octets(&in, "key", a.key.b, sizeof(a.key.b));
	jin_str(&in, "device_id", a.device_id, sizeof(a.device_id));
	jin_u64(&in, "device_number", NUMBER_MAX, &a.dn);
	jin_u32(&in, "epoch", UINT32_MAX, &a.epoch);
	jin_u32s(&in, "groups", a.groups, DEVICE_GROUPS_MAX, &a.ngroups);
	jin_u64(&in, "position", NUMBER_MAX, &a.pos);
	if (in.err == ERR_OK && !name_is_device_id(a.device_id))
		jin_fail(&in, ERR_JSON, "member device_id: no device_id");
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = a;
	key32_wipe(&a.key);
	return e;
}

enum err
wire_identity_keys_encode(const struct identity_keys *k, struct buf *out)
{
	json_t *keys = json_array();
	uint32_t i;

	for (i = 0; i < k->n; i++)
		if (json_array_append_new(keys,
			json_pack("{s:i, s:o}", "kid", (int)k->kid[i], "key",
			    key_json(&k->key[i]))) != 0) {
			json_decref(keys);
			return ERR_NOMEM;
		}
	return jout(json_pack("{s:s, s:I, s:o}", "audience", k->audience,
			"tenant", (json_int_t)k->tenant, "keys", keys),
	    out);
}

static void
take_identity_key(struct jin *in, json_t *row, struct identity_keys *k)
{
	struct jin key = {.o = json_incref(row), .d = in->d};
	uint32_t kid = 0;
	enum err e;

	if (!json_is_object(row))
		jin_fail(&key, ERR_JSON, "member keys: objects are wanted");
	jin_u32(&key, "kid", 255, &kid);
	jin_octets(&key, "key", k->key[k->n].b, KEY32_LEN);
	e = jin_done(&key);
	if (e != ERR_OK) {
		jin_fail(in, e, "member keys: malformed");
		return;
	}
	k->kid[k->n++] = (uint8_t)kid;
}

enum err
wire_identity_keys_decode(const char *s, size_t len,
    struct identity_keys *out, struct detail *d)
{
	struct identity_keys k;
	json_t *keys, *row;
	struct jin in;
	size_t i;
	enum err e;

	memset(&k, 0, sizeof(k));
	jin_open(&in, s, len, d);
	jin_str(&in, "audience", k.audience, sizeof(k.audience));
	jin_u32(&in, "tenant", UINT32_MAX, &k.tenant);
	keys = jin_any(&in, "keys");
	if (!json_is_array(keys) || json_array_size(keys) > IDENTITY_KEYS_MAX)
		jin_fail(&in, ERR_JSON, "member keys: at most %d keys",
		    IDENTITY_KEYS_MAX);
	json_array_foreach(keys, i, row)
		if (in.err == ERR_OK)
			take_identity_key(&in, row, &k);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = k;
	wipe(&k, sizeof(k));
	return e;
}
