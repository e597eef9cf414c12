#include <stdlib.h>

#include "authd/http/request.h"
#include "lib/base/parse.h"
#include "lib/wire/registry.h"

enum err api_group_create(struct req *);
enum err api_group_list(struct req *);
enum err api_group_join(struct req *);
enum err api_group_leave(struct req *);

enum err
api_group_create(struct req *r)
{
	struct group g;
	name_t name;
	enum err e;

	e = wire_group_request_decode(r->body.p, r->body.len, name,
	    &r->call.detail);
	if (e == ERR_OK)
		e = core_group_create(&r->call, name, &g);
	if (e == ERR_OK)
		e = req_json(r, 201, wire_group_json(&g));
	return e;
}

enum err
api_group_list(struct req *r)
{
	struct group *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	json_t *a = json_array();
	size_t n = 0, i;
	enum err e = ERR_NOMEM;

	if (rows != NULL && a != NULL)
		e = core_group_list(&r->call, rows, CORE_LIST_MAX, &n);
	for (i = 0; i < n && e == ERR_OK; i++)
		if (json_array_append_new(a, wire_group_json(&rows[i])))
			e = ERR_NOMEM;
	free(rows);
	if (e == ERR_OK)
		return req_json(r, 200, wire_list("groups", a, UINT64_MAX));
	json_decref(a);
	return e;
}

static enum err
member(struct req *r, int join)
{
	struct device dev;
	uint64_t group;
	enum err e;

	e = wire_reason_decode(r->body.p, r->body.len, NULL,
	    &r->call.detail);
	if (e == ERR_OK)
		e = parse_u64(req_param(r, 0), UINT32_MAX, &group);
	if (e == ERR_OK)
		e = core_group_member(&r->call, (uint32_t)group,
		    req_param(r, 1), join, &dev);
	if (e == ERR_OK)
		e = req_json(r, 200, wire_device_json(&dev));
	return e;
}

enum err
api_group_join(struct req *r)
{
	return member(r, 1);
}

enum err
api_group_leave(struct req *r)
{
	return member(r, 0);
}
