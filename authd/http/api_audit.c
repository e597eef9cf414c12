#include <stdlib.h>

#include "authd/http/request.h"
#include "lib/wire/registry.h"

#define PAGE_DEFAULT 100

enum err api_audit_list(struct req *);

static enum err
list_reply(struct req *r, const struct audit *rows, size_t n, uint64_t limit)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < n && a != NULL; i++)
		if (json_array_append_new(a, wire_audit_json(&rows[i]))) {
			json_decref(a);
			return ERR_NOMEM;
		}
	if (a == NULL)
		return ERR_NOMEM;
	return req_json(r, 200, wire_list("audit", a,
	    n == limit ? rows[n - 1].number : UINT64_MAX));
}

enum err
api_audit_list(struct req *r)
{
	static const char *const names[] = {"after", "limit", NULL};
	uint64_t after = 0, limit = PAGE_DEFAULT;
	struct audit *rows;
	size_t n = 0;
	enum err e;

	e = req_query_only(r, names);
	if (e == ERR_OK)
		e = req_query_u64(r, "after", NUMBER_MAX, &after);
	if (e == ERR_OK)
		e = req_query_u64(r, "limit", CORE_LIST_MAX, &limit);
	if (e == ERR_OK && limit == 0) {
		detail_set(&r->call.detail, "parameter limit: 1 to 1000");
		e = ERR_REQUEST;
	}
	if (e != ERR_OK)
		return e;
	rows = calloc(limit, sizeof(*rows));
	if (rows == NULL)
		return ERR_NOMEM;
	e = core_audit_list(&r->call, after, (uint32_t)limit, rows, &n);
	if (e == ERR_OK)
		e = list_reply(r, rows, n, limit);
	free(rows);
	return e;
}
