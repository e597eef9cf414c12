#include <stdlib.h>
#include <string.h>

#include "authd/http/request.h"
#include "lib/base/parse.h"
#include "lib/wire/registry.h"

#define PAGE_DEFAULT 100

enum err api_device_list(struct req *);
enum err api_device_get(struct req *);
enum err api_device_suspend(struct req *);
enum err api_device_reinstate(struct req *);
enum err api_device_revoke(struct req *);
enum err api_device_approve(struct req *);
enum err api_void(struct req *);

/* A name in the query; ok says its form. */
static enum err
query_name(struct req *r, const char *name, int (*ok)(const char *),
    name_t out)
{
	const char *text;
	enum err e;

	e = form_one(&r->query, name, &text, &r->call.detail);
	if (e != ERR_OK || text == NULL)
		return e;
	if (!ok(text) || copy_str(out, sizeof(name_t), text) != ERR_OK) {
		detail_set(&r->call.detail, "parameter %s: malformed", name);
		return ERR_NAME;
	}
	return ERR_OK;
}

static enum err
query_state(struct req *r, struct device_filter *f)
{
	const char *text;
	enum err e;

	e = form_one(&r->query, "state", &text, &r->call.detail);
	if (e != ERR_OK || text == NULL)
		return e;
	f->has_state = 1;
	e = device_state_parse(text, &f->state);
	if (e != ERR_OK)
		detail_set(&r->call.detail, "parameter state: unknown");
	return e == ERR_OK ? ERR_OK : ERR_REQUEST;
}

static enum err
decode_filter(struct req *r, struct device_filter *f)
{
	static const char *const names[] = {"state", "order", "model",
	    "group", "prefix", "after", "limit", NULL};
	uint64_t group = 0, limit = PAGE_DEFAULT;
	enum err e;

	memset(f, 0, sizeof(*f));
	e = req_query_only(r, names);
	if (e == ERR_OK)
		e = query_state(r, f);
	if (e == ERR_OK)
		e = query_name(r, "order", name_is_order, f->order);
	if (e == ERR_OK)
		e = query_name(r, "model", name_is_order, f->model);
	if (e == ERR_OK)
		e = query_name(r, "prefix", name_is_device_id, f->prefix);
	if (e == ERR_OK)
		e = req_query_u64(r, "group", UINT32_MAX, &group);
	if (e == ERR_OK)
		e = req_query_u64(r, "after", NUMBER_MAX, &f->after);
	if (e == ERR_OK)
		e = req_query_u64(r, "limit", CORE_LIST_MAX, &limit);
	if (e == ERR_OK && limit == 0) {
		detail_set(&r->call.detail, "parameter limit: 1 to 1000");
		e = ERR_REQUEST;
	}
	f->group = (uint32_t)group;
	f->limit = (uint32_t)limit;
	return e;
}

static enum err
list_reply(struct req *r, const struct device_filter *f,
    const struct device *rows, size_t n)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < n && a != NULL; i++)
		if (json_array_append_new(a, wire_device_json(&rows[i]))) {
			json_decref(a);
			return ERR_NOMEM;
		}
	if (a == NULL)
		return ERR_NOMEM;
	return req_json(r, 200, wire_list("devices", a,
	    n == f->limit ? rows[n - 1].dn : UINT64_MAX));
}

enum err
api_device_list(struct req *r)
{
	struct device_filter f;
	struct device *rows;
	size_t n = 0;
	enum err e;

	e = decode_filter(r, &f);
	if (e != ERR_OK)
		return e;
	rows = calloc(f.limit, sizeof(*rows));
	if (rows == NULL)
		return ERR_NOMEM;
	e = core_device_list(&r->call, &f, rows, &n);
	if (e == ERR_OK)
		e = list_reply(r, &f, rows, n);
	free(rows);
	return e;
}

enum err
api_device_get(struct req *r)
{
	struct device dev;
	enum err e;

	e = core_device_get(&r->call, req_param(r, 0), &dev);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_device_json(&dev));
	return e;
}

static enum err
effect(struct req *r, enum event_effect what, int revoke)
{
	char reason[201] = "";
	struct device dev;
	uint64_t pos;
	json_t *o;
	enum err e;

	e = wire_reason_decode(r->body.p, r->body.len, reason,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_device_effect(&r->call, req_param(r, 0), what,
		    revoke, reason, &dev, &pos);
	if (e != ERR_OK)
		return e;
	o = wire_device_json(&dev);
	if (o != NULL)
		(void)json_object_set_new(o, "pos",
		    json_integer((json_int_t)pos));
	return req_json(r, 200, o);
}

enum err
api_device_suspend(struct req *r)
{
	return effect(r, EFFECT_BLOCK, 0);
}

enum err
api_device_reinstate(struct req *r)
{
	return effect(r, EFFECT_LIFT, 0);
}

enum err
api_device_revoke(struct req *r)
{
	return effect(r, EFFECT_BLOCK, 1);
}

/* An act on one device that a reason may come with. */
typedef enum err act(struct core_call *call, const char *device_id,
    const char *reason, struct device *out);

static enum err
reasoned(struct req *r, act *what)
{
	char reason[201] = "";
	struct device dev;
	enum err e;

	e = wire_reason_decode(r->body.p, r->body.len, reason,
	    &r->call.detail);
	if (e == ERR_OK)
		e = what(&r->call, req_param(r, 0), reason, &dev);
	return e == ERR_OK ? req_json(r, 200, wire_device_json(&dev)) : e;
}

enum err
api_device_approve(struct req *r)
{
	return reasoned(r, core_device_approve);
}

enum err
api_void(struct req *r)
{
	return reasoned(r, core_void);
}
