#include "authd/http/request.h"

#define TEXT_MAX ((size_t)512 << 10)

enum err api_manifest(struct req *);

/* The JWS are base64url and dots: nothing to escape. */
static enum err
write_answer(struct req *r, const struct manifest_text *m)
{
	struct buf *b = &r->reply.body;
	enum err e;

	e = buf_fmt(b, "{\"keys\":\"%s\",\"page\":\"%s\",\"root\":",
	    m->keys.p, m->page.p);
	if (e == ERR_OK)
		e = core_root_jwk(r->call.tenant, b);
	if (e == ERR_OK && !m->end)
		e = buf_fmt(b, ",\"next\":%llu", (unsigned long long)m->upto);
	return e == ERR_OK ? buf_str(b, "}") : e;
}

/* docs/manifest.md */
enum err
api_manifest(struct req *r)
{
	static const char *const names[] = {"after", NULL};
	struct manifest_text m = {.page = {.max = TEXT_MAX},
	    .keys = {.max = TEXT_MAX}};
	uint64_t after = 0;
	enum err e;

	e = req_query_only(r, names);
	if (e == ERR_OK)
		e = req_query_u64(r, "after", NUMBER_MAX, &after);
	if (e == ERR_OK)
		e = core_order_manifest(&r->call, req_param(r, 0), after, &m);
	if (e == ERR_OK)
		e = write_answer(r, &m);
	buf_free(&m.page);
	buf_free(&m.keys);
	return e;
}
