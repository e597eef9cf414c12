#include "lib/wire/registry.h"

#include <string.h>

static void
check_name(struct jin *in, const char *member, const char *s,
    int (*ok)(const char *))
{
	if (in->err == ERR_OK && !ok(s))
		jin_fail(in, ERR_NAME, "member %s: not an allowed name",
		    member);
}

/* The member of a word list, by its parser; absent leaves *out. */
#define WORD(in, name, parse, out)                                            \
	do {                                                                  \
		char word_[40] = "";                                          \
		jin_opt_str((in), (name), word_, sizeof(word_));              \
		if ((in)->err == ERR_OK && word_[0] != '\0' &&                \
		    parse(word_, (out)) != ERR_OK)                            \
			jin_fail((in), ERR_JSON, "member %s: not one of its " \
			    "words", (name));                                 \
	} while (0)
/* The same when it has to be there. */
#define WORD_DEMANDED(in, name, parse, out)                                   \
	do {                                                                  \
		char word_[40] = "";                                          \
		jin_str((in), (name), word_, sizeof(word_));                  \
		if ((in)->err == ERR_OK && parse(word_, (out)) != ERR_OK)     \
			jin_fail((in), ERR_JSON, "member %s: not one of its " \
			    "words", (name));                                 \
	} while (0)

static void
read_policy(struct jin *in, struct order *o)
{
	struct jin child;

	if (in->err != ERR_OK || json_object_get(in->o, "policy") == NULL)
		return;
	jin_object(in, "policy", &child);
	WORD(&child, "reburn", reburn_parse, &o->reburn);
	WORD(&child, "min_proof", proof_parse, &o->min_proof);
	jin_opt_bool(&child, "rotate_on_first_contact", &o->rotate_first);
	WORD(&child, "possible_clone", on_clone_parse, &o->on_clone);
	jin_close(in, &child);
}

/* What a request and a whole order have in common, over the defaults. */
static void
read_order(struct jin *in, struct order *o)
{
	o->reburn = REBURN_UNTIL_CONFIRMED;
	o->min_proof = PROOF_MEDIUM;
	memcpy(o->serial_pattern, ".+", 3);
	memcpy(o->id_template, "{serial}", 9);
	memcpy(o->scope, "device", 7);
	jin_str(in, "name", o->name, sizeof(o->name));
	check_name(in, "name", o->name, name_is_order);
	jin_str(in, "model", o->model, sizeof(o->model));
	check_name(in, "model", o->model, name_is_order);
	jin_u32(in, "quantity", ORDER_QUANTITY_MAX, &o->quantity);
	jin_time(in, "expires_at", &o->expires_at);
	jin_opt_strs(in, "stations", o->stations, sizeof(o->stations[0]),
	    ORDER_STATIONS_MAX, &o->nstations);
	jin_opt_str(in, "serial_pattern", o->serial_pattern,
	    sizeof(o->serial_pattern));
	jin_opt_str(in, "device_id_template", o->id_template,
	    sizeof(o->id_template));
	if (in->err == ERR_OK && json_object_get(in->o, "peers") == NULL)
		jin_fail(in, ERR_JSON, "member peers: missing");
	jin_opt_strs(in, "peers", o->peers, sizeof(o->peers[0]),
	    ORDER_PEERS_MAX, &o->npeers);
	jin_opt_str(in, "scope", o->scope, sizeof(o->scope));
	read_policy(in, o);
	jin_opt_bool(in, "derived", &o->derived);
}

enum err
wire_order_request_decode(const char *s, size_t len, struct order *out,
    struct detail *d)
{
	struct order o;
	struct jin in;
	enum err e;

	memset(&o, 0, sizeof(o));
	jin_open(&in, s, len, d);
	read_order(&in, &o);
	e = jin_done(&in);
	if (e == ERR_OK)
		e = order_validate(&o, d);
	if (e == ERR_OK)
		*out = o;
	return e;
}

enum err
wire_order_decode(const char *s, size_t len, struct order *out,
    struct detail *d)
{
	struct order o;
	struct jin in;
	enum err e;

	memset(&o, 0, sizeof(o));
	jin_open(&in, s, len, d);
	read_order(&in, &o);
	jin_opt_bool(&in, "closed", &o.closed);
	jin_u32(&in, "issued", UINT32_MAX, &o.issued);
	jin_u32(&in, "group", UINT32_MAX, &o.group);
	jin_u32(&in, "model_group", UINT32_MAX, &o.model_group);
	jin_time(&in, "created_at", &o.created_at);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = o;
	return e;
}

static json_t *
order_request_json(const struct order *o)
{
	return json_pack("{ss ss sI so so ss ss so ss s{ss ss sb ss} sb}",
	    "name", o->name, "model", o->model,
	    "quantity", (json_int_t)o->quantity,
	    "expires_at", jout_time(o->expires_at),
	    "stations", jout_strs(o->stations, sizeof(o->stations[0]),
	    o->nstations),
	    "serial_pattern", o->serial_pattern,
	    "device_id_template", o->id_template,
	    "peers", jout_strs(o->peers, sizeof(o->peers[0]), o->npeers),
	    "scope", o->scope, "policy", "reburn", reburn_name(o->reburn),
	    "min_proof", proof_name(o->min_proof),
	    "rotate_on_first_contact", o->rotate_first,
	    "possible_clone", on_clone_name(o->on_clone),
	    "derived", o->derived);
}

json_t *
wire_order_json(const struct order *o)
{
	json_t *j = order_request_json(o);
	json_t *more = json_pack("{sb sI sI sI so}", "closed", o->closed,
	    "issued", (json_int_t)o->issued, "group", (json_int_t)o->group,
	    "model_group", (json_int_t)o->model_group,
	    "created_at", jout_time(o->created_at));

	if (j == NULL || more == NULL || json_object_update(j, more) != 0) {
		json_decref(j);
		j = NULL;
	}
	json_decref(more);
	return j;
}

enum err
wire_audience_request_decode(const char *s, size_t len, struct audience *out,
    struct detail *d)
{
	struct audience a = {0};
	uint32_t port = 0;
	struct jin in;
	enum err e;

	jin_open(&in, s, len, d);
	jin_str(&in, "host", a.host, sizeof(a.host));
	check_name(&in, "host", a.host, name_is_host);
	jin_u32(&in, "port", UINT16_MAX, &port);
	if (in.err == ERR_OK && port == 0)
		jin_fail(&in, ERR_JSON, "member port: 1 to 65535");
	jin_opt_bool(&in, "retired", &a.retired);
	e = jin_done(&in);
	if (e != ERR_OK)
		return e;
	a.port = (uint16_t)port;
	*out = a;
	return ERR_OK;
}

json_t *
wire_audience_json(const struct audience *a)
{
	return json_pack("{ss ss si sb}", "name", a->name, "host", a->host,
	    "port", (int)a->port, "retired", a->retired);
}

static enum err
decode_name(const char *s, size_t len, int (*ok)(const char *), name_t name,
    struct detail *d)
{
	name_t n = "";
	struct jin in;
	enum err e;

	jin_open(&in, s, len, d);
	jin_str(&in, "name", n, sizeof(n));
	check_name(&in, "name", n, ok);
	e = jin_done(&in);
	if (e == ERR_OK)
		memcpy(name, n, sizeof(n));
	return e;
}

enum err
wire_group_request_decode(const char *s, size_t len, name_t name,
    struct detail *d)
{
	return decode_name(s, len, name_is_order, name, d);
}

enum err
wire_tenant_request_decode(const char *s, size_t len, name_t name,
    struct detail *d)
{
	return decode_name(s, len, name_is_tenant, name, d);
}

json_t *
wire_group_json(const struct group *g)
{
	return json_pack("{sI ss ss sb sI}", "number", (json_int_t)g->number,
	    "kind", group_kind_name(g->kind), "name", g->name, "blocked",
	    g->blocked, "devices", (json_int_t)g->devices);
}

enum err
wire_caller_request_decode(const char *s, size_t len, struct caller *out,
    struct detail *d)
{
	struct caller c;
	struct jin in;
	uint32_t i;
	enum err e;

	memset(&c, 0, sizeof(c));
	jin_open(&in, s, len, d);
	jin_str(&in, "name", c.name, sizeof(c.name));
	check_name(&in, "name", c.name, name_is_order);
	WORD_DEMANDED(&in, "role", role_parse, &c.role);
	jin_opt_strs(&in, "audiences", c.audiences, sizeof(c.audiences[0]),
	    CALLER_AUDIENCES_MAX, &c.naudiences);
	for (i = 0; in.err == ERR_OK && i < c.naudiences; i++)
		check_name(&in, "audiences", c.audiences[i],
		    name_is_audience);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = c;
	return e;
}

json_t *
wire_caller_json(const struct caller *c, const char *credential)
{
	json_t *j = json_pack("{ss sI ss so sb so}", "name", c->name,
	    "number", (json_int_t)c->number, "role", role_name(c->role),
	    "audiences", jout_strs(c->audiences, sizeof(c->audiences[0]),
	    c->naudiences), "disabled", c->disabled,
	    "created_at", jout_time(c->created_at));

	if (j != NULL && credential != NULL && json_object_set_new(j,
	    "credential", json_string(credential)) != 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}

enum err
wire_reason_decode(const char *s, size_t len, char reason[201],
    struct detail *d)
{
	char r[201] = "";
	struct jin in;
	enum err e = ERR_OK;

	if (len > 0) {
		jin_open(&in, s, len, d);
		if (reason != NULL)
			jin_opt_str(&in, "reason", r, sizeof(r));
		e = jin_done(&in);
	}
	if (e == ERR_OK && reason != NULL)
		memcpy(reason, r, sizeof(r));
	return e;
}

/* How often, when last and by which epoch's key. */
static json_t *
clones_json(const struct device *dev)
{
	if (dev->clones == 0)
		return NULL;
	return json_pack("{sI so sI}", "count", (json_int_t)dev->clones,
	    "last_at", jout_time(dev->clone_at),
	    "epoch", (json_int_t)dev->clone_epoch);
}

static void
read_clones(struct jin *in, struct device *dev)
{
	struct jin child;

	if (in->err != ERR_OK ||
	    json_object_get(in->o, "possible_clone") == NULL)
		return;
	jin_object(in, "possible_clone", &child);
	jin_u32(&child, "count", UINT32_MAX, &dev->clones);
	jin_time(&child, "last_at", &dev->clone_at);
	jin_u32(&child, "epoch", UINT32_MAX, &dev->clone_epoch);
	jin_close(in, &child);
}

/* What is rarely so is there only when it is: readers of before know it not. */
json_t *
wire_device_json(const struct device *dev)
{
	return json_pack("{ss sI ss ss ss ss ss so* sI so* so* so so so}",
	    "device_id", dev->device_id, "number", (json_int_t)dev->dn,
	    "serial", dev->serial, "order", dev->order, "model", dev->model,
	    "state", device_state_name(dev->state),
	    "proof", proof_name(dev->proof),
	    "unproven", dev->unproven ? json_true() : NULL,
	    "epoch", (json_int_t)dev->epoch, "pending_epoch",
	    dev->pending != 0 ? json_integer((json_int_t)dev->pending) :
	    NULL,
	    "possible_clone", clones_json(dev),
	    "groups", jout_u32s(dev->groups, dev->ngroups),
	    "created_at", jout_time(dev->created_at),
	    "changed_at", jout_time(dev->changed_at));
}

enum err
wire_device_decode_json(json_t *o, struct device *out, struct detail *d)
{
	struct device v;
	uint64_t pos, pending = 0;
	struct jin in;
	enum err e;

	memset(&v, 0, sizeof(v));
	jin_value(&in, o, d);
	jin_str(&in, "device_id", v.device_id, sizeof(v.device_id));
	check_name(&in, "device_id", v.device_id, name_is_device_id);
	jin_u64(&in, "number", NUMBER_MAX, &v.dn);
	jin_str(&in, "serial", v.serial, sizeof(v.serial));
	jin_str(&in, "order", v.order, sizeof(v.order));
	jin_str(&in, "model", v.model, sizeof(v.model));
	WORD_DEMANDED(&in, "state", device_state_parse, &v.state);
	WORD_DEMANDED(&in, "proof", proof_parse, &v.proof);
	jin_opt_bool(&in, "unproven", &v.unproven);
	jin_u32(&in, "epoch", UINT32_MAX, &v.epoch);
	jin_opt_u64(&in, "pending_epoch", UINT32_MAX, &pending);
	v.pending = (uint32_t)pending;
	read_clones(&in, &v);
	jin_u32s(&in, "groups", v.groups, DEVICE_GROUPS_MAX, &v.ngroups);
	jin_time(&in, "created_at", &v.created_at);
	jin_time(&in, "changed_at", &v.changed_at);
	jin_opt_u64(&in, "pos", NUMBER_MAX, &pos);
	e = jin_done(&in);
	if (e == ERR_OK)
		*out = v;
	return e;
}

json_t *
wire_audit_json(const struct audit *a)
{
	return json_pack("{sI so sI ss ss ss ss sI ss ss}",
	    "number", (json_int_t)a->number, "at", jout_time(a->at),
	    "caller", (json_int_t)a->caller, "action", a->action,
	    "object_kind", a->object_kind, "object", a->object,
	    "outcome", a->outcome, "pos", (json_int_t)a->pos,
	    "request_id", a->request_id, "detail", a->detail);
}

json_t *
wire_list(const char *name, json_t *rows, uint64_t next)
{
	json_t *j = json_pack("{so}", name, rows);

	if (j != NULL && next != UINT64_MAX && json_object_set_new(j, "next",
	    json_integer((json_int_t)next)) != 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}
