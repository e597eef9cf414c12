#include "lib/wire/wire.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"

/*
 * jansson's memory holds keys and credentials on their way to and from the
 * wire, so each block remembers its size and is wiped when freed.
 */
union block {
	size_t size;
	max_align_t align;
};

static void *
wiping_malloc(size_t size)
{
	union block *b;

	if (size > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	return b + 1;
}

static void
wiping_free(void *p)
{
	union block *b = p;

	if (b == NULL)
		return;
	b--;
	wipe(b, sizeof(*b) + b->size);
	free(b);
}

void
wire_init(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
	/* Hash seeds are made at the first object: once, before threads. */
	json_object_seed(0);
}

void
jin_open(struct jin *in, const char *text, size_t len, struct detail *d)
{
	json_error_t why;

	memset(in, 0, sizeof(*in));
	in->d = d;
	in->o = json_loadb(text != NULL ? text : "", len,
	    JSON_REJECT_DUPLICATES, &why);
	if (in->o == NULL)
		jin_fail(in, ERR_JSON, "not JSON at line %d, column %d",
		    why.line, why.column);
	else if (!json_is_object(in->o))
		jin_fail(in, ERR_JSON, "the body is no JSON object");
}

void
jin_fail(struct jin *in, enum err e, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (in->err != ERR_OK)
		return;
	in->err = e;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	detail_set(in->d, "%s", text);
}

json_t *
jin_any(struct jin *in, const char *name)
{
	json_t *v;

	if (in->err != ERR_OK)
		return NULL;
	v = json_object_get(in->o, name);
	if (v != NULL)
		in->seen++;
	return v;
}

/* The member, or a fault that names it. */
static json_t *
need(struct jin *in, const char *name)
{
	json_t *v = jin_any(in, name);

	if (v == NULL)
		jin_fail(in, ERR_JSON, "member %s is missing", name);
	return v;
}

void
jin_object(struct jin *in, const char *name, struct jin *child)
{
	json_t *v = need(in, name);

	memset(child, 0, sizeof(*child));
	child->d = in->d;
	if (v != NULL && !json_is_object(v)) {
		jin_fail(in, ERR_JSON, "member %s: an object is wanted", name);
		v = NULL;
	}
	if (v == NULL)
		child->err = in->err;
	else
		child->o = json_incref(v);
}

/* Texts go into C strings: a NUL within one is refused. */
static void
take_str(struct jin *in, const char *name, const json_t *v, char *out,
    size_t size)
{
	size_t len;

	if (!json_is_string(v)) {
		jin_fail(in, ERR_JSON, "member %s: a text is wanted", name);
		return;
	}
	len = json_string_length(v);
	if (len >= size || strlen(json_string_value(v)) != len) {
		jin_fail(in, ERR_JSON, "member %s: at most %zu characters",
		    name, size - 1);
		return;
	}
	memcpy(out, json_string_value(v), len + 1);
}

void
jin_str(struct jin *in, const char *name, char *out, size_t size)
{
	json_t *v = need(in, name);

	if (v != NULL)
		take_str(in, name, v, out, size);
}

void
jin_opt_str(struct jin *in, const char *name, char *out, size_t size)
{
	json_t *v = jin_any(in, name);

	if (v != NULL)
		take_str(in, name, v, out, size);
}

static void
take_u64(struct jin *in, const char *name, const json_t *v, uint64_t max,
    uint64_t *out)
{
	json_int_t i;

	if (!json_is_integer(v)) {
		jin_fail(in, ERR_JSON, "member %s: an integer is wanted",
		    name);
		return;
	}
	i = json_integer_value(v);
	if (i < 0 || (uint64_t)i > max) {
		jin_fail(in, ERR_JSON, "member %s: 0 to %llu", name,
		    (unsigned long long)max);
		return;
	}
	*out = (uint64_t)i;
}

void
jin_u64(struct jin *in, const char *name, uint64_t max, uint64_t *out)
{
	json_t *v = need(in, name);

	if (v != NULL)
		take_u64(in, name, v, max, out);
}

void
jin_opt_u64(struct jin *in, const char *name, uint64_t max, uint64_t *out)
{
	json_t *v = jin_any(in, name);

	if (v != NULL)
		take_u64(in, name, v, max, out);
}

void
jin_u32(struct jin *in, const char *name, uint32_t max, uint32_t *out)
{
	uint64_t wide = *out;

	jin_u64(in, name, max, &wide);
	if (in->err == ERR_OK)
		*out = (uint32_t)wide;
}

void
jin_opt_bool(struct jin *in, const char *name, int *out)
{
	json_t *v = jin_any(in, name);

	if (v == NULL)
		return;
	if (!json_is_boolean(v))
		jin_fail(in, ERR_JSON, "member %s: true or false", name);
	else
		*out = json_is_true(v);
}

void
jin_octets(struct jin *in, const char *name, void *out, size_t len)
{
	json_t *v = need(in, name);

	if (v == NULL)
		return;
	if (!json_is_string(v) ||
	    b64url_decode_exact(json_string_value(v), json_string_length(v),
		out, len) != ERR_OK)
		jin_fail(in, ERR_JSON,
		    "member %s: base64url of %zu octets is wanted", name, len);
}

void
jin_time(struct jin *in, const char *name, int64_t *out)
{
	json_t *v = need(in, name);

	if (v == NULL)
		return;
	if (!json_is_string(v) ||
	    strlen(json_string_value(v)) != json_string_length(v) ||
	    parse_time(json_string_value(v), out) != ERR_OK)
		jin_fail(in, ERR_JSON,
		    "member %s: a time like 2026-01-31T00:00:00Z", name);
}

/* The array of a member with at most max elements; NULL when there is none. */
static json_t *
take_array(struct jin *in, const char *name, json_t *v, uint32_t max)
{
	if (v == NULL)
		return NULL;
	if (!json_is_array(v) || json_array_size(v) > max) {
		jin_fail(in, ERR_JSON,
		    "member %s: an array of at most %u elements", name, max);
		return NULL;
	}
	return v;
}

void
jin_opt_strs(struct jin *in, const char *name, void *rows, size_t size,
    uint32_t max, uint32_t *n)
{
	json_t *v = take_array(in, name, jin_any(in, name), max);
	json_t *el;
	size_t i;

	if (v == NULL)
		return;
	json_array_foreach(v, i, el)
		take_str(in, name, el, (char *)rows + i * size, size);
	if (in->err == ERR_OK)
		*n = (uint32_t)json_array_size(v);
}

void
jin_u32s(struct jin *in, const char *name, uint32_t *rows, uint32_t max,
    uint32_t *n)
{
	json_t *v = take_array(in, name, need(in, name), max);
	uint64_t wide = 0;
	json_t *el;
	size_t i;

	if (v == NULL)
		return;
	json_array_foreach(v, i, el) {
		take_u64(in, name, el, UINT32_MAX, &wide);
		rows[i] = (uint32_t)wide;
	}
	if (in->err == ERR_OK)
		*n = (uint32_t)json_array_size(v);
}

enum err
jin_done(struct jin *in)
{
	enum err e;

	if (in->err == ERR_OK && json_object_size(in->o) != in->seen)
		jin_fail(in, ERR_JSON,
		    "the object has a member that is not known here");
	json_decref(in->o);
	in->o = NULL;
	e = in->err;
	return e;
}

struct sink {
	struct buf *out;
	enum err e;
};

static int
dump_to_buf(const char *p, size_t len, void *arg)
{
	struct sink *s = arg;

	s->e = buf_add(s->out, p, len);
	return s->e == ERR_OK ? 0 : -1;
}

enum err
jout(json_t *o, struct buf *out)
{
	struct sink s = {.out = out, .e = ERR_NOMEM};

	if (o == NULL)
		return ERR_NOMEM;
	if (json_dump_callback(o, dump_to_buf, &s,
		JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		s.e = ERR_OK;
	else if (s.e == ERR_OK)
		s.e = ERR_NOMEM;
	json_decref(o);
	return s.e;
}
