#include "lib/wire/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

#define OCTETS_MAX 512

void
wire_init(void)
{
	json_set_alloc_funcs(malloc, wiping_free);
}

static void
start(struct jin *in, struct detail *d)
{
	memset(in, 0, sizeof(*in));
	in->d = d;
	in->err = ERR_OK;
}

void
jin_fail(struct jin *in, enum err e, const char *fmt, ...)
{
	char text[sizeof(in->d->text)];
	va_list ap;

	if (in->err != ERR_OK)
		return;
	in->err = e;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	detail_set(in->d, "%s", text);
}

void
jin_value(struct jin *in, json_t *o, struct detail *d)
{
	start(in, d);
	if (json_is_object(o))
		in->o = json_incref(o);
	else
		jin_fail(in, ERR_JSON, "not an object");
}

void
jin_open(struct jin *in, const char *text, size_t len, struct detail *d)
{
	json_error_t je;
	json_t *o;

	start(in, d);
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (json_is_object(o)) {
		in->o = o;
		return;
	}
	json_decref(o);
	if (o == NULL && json_error_code(&je) == json_error_out_of_memory)
		jin_fail(in, ERR_NOMEM, "out of memory");
	else if (o == NULL &&
	    json_error_code(&je) == json_error_duplicate_key)
		jin_fail(in, ERR_JSON, "a member is there twice");
	else
		jin_fail(in, ERR_JSON, "not a JSON object");
}

json_t *
jin_any(struct jin *in, const char *name)
{
	json_t *v;

	if (in->err != ERR_OK || in->o == NULL)
		return NULL;
	v = json_object_get(in->o, name);
	if (v == NULL)
		return NULL;
	if (in->seen >= JIN_MEMBERS_MAX) {
		jin_fail(in, ERR_INTERNAL, "too many members");
		return NULL;
	}
	in->taken[in->seen++] = name;
	return v;
}

/* A member that has to be there. */
static json_t *
demand(struct jin *in, const char *name)
{
	json_t *v = jin_any(in, name);

	if (v == NULL)
		jin_fail(in, ERR_JSON, "member %s: missing", name);
	return v;
}

void
jin_object(struct jin *in, const char *name, struct jin *child)
{
	json_t *v = demand(in, name);

	start(child, in->d);
	child->err = in->err;
	if (v == NULL)
		return;
	if (json_is_object(v))
		child->o = json_incref(v);
	else
		jin_fail(child, ERR_JSON, "member %s: an object", name);
}

void
jin_close(struct jin *in, struct jin *child)
{
	enum err e = jin_done(child);

	if (in->err == ERR_OK)
		in->err = e;
}

static void
take_str(struct jin *in, const char *name, const json_t *v, char *out,
    size_t size)
{
	size_t len;

	if (v == NULL)
		return;
	if (!json_is_string(v)) {
		jin_fail(in, ERR_JSON, "member %s: a text", name);
		return;
	}
	len = json_string_length(v);
	if (len >= size || memchr(json_string_value(v), '\0', len) != NULL) {
		jin_fail(in, ERR_JSON, "member %s: at most %zu octets", name,
		    size - 1);
		return;
	}
	memcpy(out, json_string_value(v), len + 1);
}

void
jin_str(struct jin *in, const char *name, char *out, size_t size)
{
	take_str(in, name, demand(in, name), out, size);
}

void
jin_opt_str(struct jin *in, const char *name, char *out, size_t size)
{
	take_str(in, name, jin_any(in, name), out, size);
}

static void
take_u64(struct jin *in, const char *name, const json_t *v, uint64_t max,
    uint64_t *out)
{
	if (v == NULL)
		return;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max) {
		jin_fail(in, ERR_JSON, "member %s: an integer of 0 to %llu",
		    name, (unsigned long long)max);
		return;
	}
	*out = (uint64_t)json_integer_value(v);
}

void
jin_u64(struct jin *in, const char *name, uint64_t max, uint64_t *out)
{
	take_u64(in, name, demand(in, name), max, out);
}

void
jin_opt_u64(struct jin *in, const char *name, uint64_t max, uint64_t *out)
{
	take_u64(in, name, jin_any(in, name), max, out);
}

void
jin_u32(struct jin *in, const char *name, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	jin_u64(in, name, max, &v);
	if (in->err == ERR_OK)
		*out = (uint32_t)v;
}

void
jin_opt_bool(struct jin *in, const char *name, int *out)
{
	const json_t *v = jin_any(in, name);

	if (v == NULL)
		return;
	if (!json_is_boolean(v)) {
		jin_fail(in, ERR_JSON, "member %s: true or false", name);
		return;
	}
	*out = json_is_true(v);
}

void
jin_octets(struct jin *in, const char *name, void *out, size_t len)
{
	const json_t *v = demand(in, name);

	if (v == NULL)
		return;
	if (!json_is_string(v) || b64url_decode_exact(json_string_value(v),
	    json_string_length(v), out, len) != ERR_OK)
		jin_fail(in, ERR_JSON, "member %s: %zu octets as base64url",
		    name, len);
}

void
jin_time(struct jin *in, const char *name, int64_t *out)
{
	const json_t *v = demand(in, name);

	if (v == NULL)
		return;
	if (!json_is_string(v) ||
	    strlen(json_string_value(v)) != json_string_length(v) ||
	    parse_time(json_string_value(v), out) != ERR_OK)
		jin_fail(in, ERR_JSON,
		    "member %s: a time like 2026-11-22T17:34:37Z", name);
}

static json_t *
take_array(struct jin *in, const char *name, size_t max, size_t *n)
{
	json_t *v = demand(in, name);

	*n = 0;
	if (v == NULL)
		return NULL;
	if (!json_is_array(v) || json_array_size(v) > max) {
		jin_fail(in, ERR_JSON, "member %s: an array of at most %zu",
		    name, max);
		return NULL;
	}
	*n = json_array_size(v);
	return v;
}

json_t *
jin_array(struct jin *in, const char *name, size_t max, size_t *n)
{
	json_t *v = take_array(in, name, max, n);
	size_t i;

	for (i = 0; i < *n; i++) {
		if (!json_is_object(json_array_get(v, i))) {
			jin_fail(in, ERR_JSON, "member %s[%zu]: an object",
			    name, i);
			*n = 0;
			return NULL;
		}
	}
	return v;
}

void
jin_opt_strs(struct jin *in, const char *name, void *rows, size_t size,
    uint32_t max, uint32_t *n)
{
	json_t *v = jin_any(in, name);
	char label[64];
	size_t i;

	if (v == NULL)
		return;
	if (!json_is_array(v) || json_array_size(v) > max) {
		jin_fail(in, ERR_JSON,
		    "member %s: an array of at most %u texts", name, max);
		return;
	}
	for (i = 0; i < json_array_size(v) && in->err == ERR_OK; i++) {
		(void)snprintf(label, sizeof(label), "%s[%zu]", name, i);
		take_str(in, label, json_array_get(v, i),
		    (char *)rows + i * size, size);
	}
	if (in->err == ERR_OK)
		*n = (uint32_t)json_array_size(v);
}

void
jin_u32s(struct jin *in, const char *name, uint32_t *rows, uint32_t max,
    uint32_t *n)
{
	char label[64];
	uint64_t one;
	size_t i, len;
	json_t *v = take_array(in, name, max, &len);

	for (i = 0; v != NULL && i < len && in->err == ERR_OK; i++) {
		one = 0;
		(void)snprintf(label, sizeof(label), "%s[%zu]", name, i);
		take_u64(in, label, json_array_get(v, i), UINT32_MAX, &one);
		rows[i] = (uint32_t)one;
	}
	if (in->err == ERR_OK)
		*n = (uint32_t)len;
}

static int
was_taken(const struct jin *in, const char *name)
{
	unsigned i;

	for (i = 0; i < in->seen; i++)
		if (strcmp(in->taken[i], name) == 0)
			return 1;
	return 0;
}

/*
 * The name is the sender's: only what is plain of it is shown, and too little
 * of it for a credential that was put in the wrong place.
 */
static void
unknown(struct jin *in, const char *name)
{
	char shown[21];
	size_t i;

	for (i = 0; name[i] != '\0' && i < sizeof(shown) - 1; i++)
		shown[i] = name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?';
	shown[i] = '\0';
	jin_fail(in, ERR_JSON, "member %s: not known here", shown);
}

enum err
jin_done(struct jin *in)
{
	const char *name;
	json_t *v;

	if (in->err == ERR_OK && in->o != NULL) {
		json_object_foreach(in->o, name, v) {
			if (!was_taken(in, name)) {
				unknown(in, name);
				break;
			}
		}
	}
	json_decref(in->o);
	in->o = NULL;
	return in->err;
}

static int
append(const char *p, size_t len, void *arg)
{
	return buf_add(arg, p, len) == ERR_OK ? 0 : -1;
}

enum err
jout(json_t *o, struct buf *out)
{
	size_t before = out->len;
	enum err e = ERR_OK;

	if (o == NULL)
		return ERR_NOMEM;
	/* Straight into out: no second copy of what may be a secret. */
	if (json_dump_callback(o, append, out, JSON_COMPACT) != 0) {
		e = out->max - before < 65536 ? ERR_TOO_LARGE : ERR_NOMEM;
		out->len = before;
		if (out->p != NULL)
			out->p[before] = '\0';
	}
	json_decref(o);
	return e;
}

json_t *
jout_octets(const void *p, size_t len)
{
	char text[B64URL_LEN(OCTETS_MAX) + 1];
	json_t *v;

	if (len > OCTETS_MAX)
		return NULL;
	b64url_encode(p, len, text);
	v = json_string(text);
	wipe(text, sizeof(text));
	return v;
}

json_t *
jout_time(int64_t unix_s)
{
	char text[TIME_TEXT];

	format_time(unix_s, text);
	return json_string(text);
}

json_t *
jout_strs(const void *rows, size_t size, uint32_t n)
{
	json_t *a = json_array();
	uint32_t i;

	for (i = 0; a != NULL && i < n; i++) {
		if (json_array_append_new(a, json_string(
		    (const char *)rows + i * size)) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

json_t *
jout_u32s(const uint32_t *rows, uint32_t n)
{
	json_t *a = json_array();
	uint32_t i;

	for (i = 0; a != NULL && i < n; i++) {
		if (json_array_append_new(a, json_integer(rows[i])) != 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}
