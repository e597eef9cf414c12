#include "lib/wire/feed.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"

/* kind and effect, by the words of the model. */
static void
read_words(struct jin *in, enum event_kind *kind, enum event_effect *effect)
{
	char k[16] = "", f[16] = "";

	jin_str(in, "kind", k, sizeof(k));
	if (in->err == ERR_OK && event_kind_parse(k, kind) != ERR_OK)
		jin_fail(in, ERR_JSON, "member kind: not one of its words");
	jin_str(in, "effect", f, sizeof(f));
	if (in->err == ERR_OK && event_effect_parse(f, effect) != ERR_OK)
		jin_fail(in, ERR_JSON, "member effect: cut, block or lift");
}

static int
number_ok(const char *s, uint64_t max)
{
	uint64_t n;

	return parse_u64(s, max, &n) == ERR_OK && n > 0;
}

/* Printable, so that it can stand in a log. */
static int
word_ok(const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if (*p < 0x21 || *p > 0x7e || *p == '"' || *p == '\\')
			return 0;
	return p > s;
}

static void
check_request_id(struct jin *in, const struct revocation_request *r)
{
	if (in->err != ERR_OK)
		return;
	if (r->kind == EV_DEVICE && !name_is_device_id(r->id))
		jin_fail(in, ERR_NAME, "member id: a device_id");
	else if (r->kind == EV_GROUP && !number_ok(r->id, UINT32_MAX))
		jin_fail(in, ERR_JSON, "member id: a group's number");
	else if (r->kind == EV_TENANT && r->id[0] != '\0')
		jin_fail(in, ERR_JSON, "member id: empty for a tenant");
	else if (r->kind == EV_TOKEN && !word_ok(r->id))
		jin_fail(in, ERR_JSON, "member id: a token's jti");
	else if (r->kind == EV_CALLER && !name_is_order(r->id))
		jin_fail(in, ERR_NAME, "member id: a caller's name");
	else if (r->kind == EV_SIGNING_KEY && (strlen(r->id) != KID_LEN ||
	    !word_ok(r->id)))
		jin_fail(in, ERR_JSON, "member id: a key's kid");
	else if (r->kind == EV_TOKEN && r->effect != EFFECT_CUT)
		jin_fail(in, ERR_JSON, "member effect: a token is cut");
	else if ((r->kind == EV_CALLER || r->kind == EV_SIGNING_KEY) &&
	    r->effect == EFFECT_LIFT)
		jin_fail(in, ERR_JSON, "member effect: it stays dead");
	else if (r->kind != EV_TOKEN && r->exp != 0)
		jin_fail(in, ERR_JSON, "member exp: of a token only");
}

enum err
wire_revocation_request_decode(const char *s, size_t len,
    struct revocation_request *out, struct detail *d)
{
	struct revocation_request r;
	uint64_t exp = 0;
	struct jin in;
	enum err e;

	memset(&r, 0, sizeof(r));
	jin_open(&in, s, len, d);
	read_words(&in, &r.kind, &r.effect);
	jin_str(&in, "id", r.id, sizeof(r.id));
	jin_opt_u64(&in, "exp", NUMBER_MAX, &exp);
	r.exp = (int64_t)exp;
	check_request_id(&in, &r);
	r.has_expect = in.err == ERR_OK &&
	    json_object_get(in.o, "expect") != NULL;
	jin_opt_u64(&in, "expect", NUMBER_MAX, &r.expect);
	jin_opt_bool(&in, "dry_run", &r.dry_run);
	jin_opt_str(&in, "reason", r.reason, sizeof(r.reason));
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = r;
	return e;
}

json_t *
wire_event_json(const struct event *e)
{
	return json_pack("{sI ss ss ss sI sI so}", "pos", (json_int_t)e->pos,
	    "kind", event_kind_name(e->kind), "id", e->id,
	    "effect", event_effect_name(e->effect),
	    "ep_max", (json_int_t)e->ep_max, "exp", (json_int_t)e->exp,
	    "at", jout_time(e->at));
}

static void
check_event_id(struct jin *in, const struct event *e)
{
	if (in->err != ERR_OK)
		return;
	if (e->kind == EV_TOKEN || e->kind == EV_SIGNING_KEY) {
		if (!word_ok(e->id))
			jin_fail(in, ERR_JSON, "member id: a jti or kid");
	} else if (!number_ok(e->id, NUMBER_MAX)) {
		jin_fail(in, ERR_JSON, "member id: a number");
	}
	if (in->err == ERR_OK && e->pos == 0)
		jin_fail(in, ERR_JSON, "member pos: from 1");
}

enum err
wire_event_decode_json(json_t *o, struct event *out, struct detail *d)
{
	uint64_t exp = 0;
	struct event v;
	struct jin in;
	enum err e;

	memset(&v, 0, sizeof(v));
	jin_value(&in, o, d);
	jin_u64(&in, "pos", NUMBER_MAX, &v.pos);
	read_words(&in, &v.kind, &v.effect);
	jin_str(&in, "id", v.id, sizeof(v.id));
	check_event_id(&in, &v);
	jin_u32(&in, "ep_max", UINT32_MAX, &v.ep_max);
	jin_u64(&in, "exp", NUMBER_MAX, &exp);
	v.exp = (int64_t)exp;
	jin_time(&in, "at", &v.at);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = v;
	return e;
}

/* Sets a member that may be absent; 0 without memory. */
static int
set_if(int there, json_t *o, const char *name, json_t *v)
{
	if (!there) {
		json_decref(v);
		return 1;
	}
	return json_object_set_new(o, name, v) == 0;
}

enum err
wire_feed_encode(const struct feed_page *p, struct buf *out)
{
	json_t *a = json_array(), *o;
	size_t i;

	for (i = 0; a != NULL && i < p->n; i++) {
		if (json_array_append_new(a,
		    wire_event_json(&p->events[i])) != 0) {
			json_decref(a);
			a = NULL;
		}
	}
	o = json_pack("{so sI sI sI}", "events", a,
	    "head", (json_int_t)p->head, "floor", (json_int_t)p->floor,
	    "time", (json_int_t)p->time);
	if (o == NULL || !set_if(p->heartbeat != NULL, o, "set",
	    p->set == NULL ? json_null() : json_string(p->set)) ||
	    !set_if(p->heartbeat != NULL, o, "heartbeat",
	    json_string(p->heartbeat == NULL ? "" : p->heartbeat))) {
		json_decref(o);
		return ERR_NOMEM;
	}
	return jout(o, out);
}

void
feed_page_free(struct feed_page *p)
{
	free(p->events);
	free(p->set);
	free(p->heartbeat);
	memset(p, 0, sizeof(*p));
}

/* A text of any length, absent or null: NULL. */
static void
read_text(struct jin *in, const char *name, char **out)
{
	json_t *v = jin_any(in, name);

	if (v == NULL || json_is_null(v) || in->err != ERR_OK)
		return;
	if (!json_is_string(v)) {
		jin_fail(in, ERR_JSON, "member %s: a text or null", name);
		return;
	}
	*out = strdup(json_string_value(v));
	if (*out == NULL)
		jin_fail(in, ERR_NOMEM, "out of memory");
}

static void
read_events(struct jin *in, struct feed_page *p)
{
	uint64_t last = 0;
	size_t i, n;
	json_t *a = jin_array(in, "events", FEED_PAGE_MAX, &n);

	if (n == 0 || in->err != ERR_OK)
		return;
	p->events = calloc(n, sizeof(*p->events));
	if (p->events == NULL) {
		jin_fail(in, ERR_NOMEM, "out of memory");
		return;
	}
	for (i = 0; in->err == ERR_OK && i < n; i++) {
		in->err = wire_event_decode_json(json_array_get(a, i),
		    &p->events[i], in->d);
		if (in->err == ERR_OK && p->events[i].pos <= last)
			jin_fail(in, ERR_JSON, "member events: out of order");
		last = p->events[i].pos;
	}
	p->n = n;
}

enum err
wire_feed_decode(const char *s, size_t len, struct feed_page *out,
    struct detail *d)
{
	struct feed_page p;
	uint64_t t = 0;
	struct jin in;
	enum err e;

	memset(&p, 0, sizeof(p));
	jin_open(&in, s, len, d);
	read_events(&in, &p);
	jin_u64(&in, "head", NUMBER_MAX, &p.head);
	jin_u64(&in, "floor", NUMBER_MAX, &p.floor);
	jin_u64(&in, "time", NUMBER_MAX, &t);
	p.time = (int64_t)t;
	read_text(&in, "set", &p.set);
	read_text(&in, "heartbeat", &p.heartbeat);
	if (in.err == ERR_OK && p.n > 0 && p.events[p.n - 1].pos > p.head)
		jin_fail(&in, ERR_JSON, "member head: behind the events");
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = p;
	else
		feed_page_free(&p);
	return e;
}
