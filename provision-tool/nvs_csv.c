#include "provision-tool/nvs.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "provision-tool/spec.h"

/*
 * Espressif's CSV: a header "key,type,encoding,value", then rows, quoted as
 * RFC 4180 says. Rows that begin with # and empty ones are passed over.
 */
#define CSV_MAX ((size_t)1 << 20)
enum { KEY, TYPE, ENCODING, VALUE, FIELDS };

struct csv {
	const char *p, *end;
	size_t line; /* of the row that was read */
	size_t next_line;
	struct buf field[FIELDS];
};

static const struct {
	const char *name;
	enum nvs_type type;
} numbers[] = {
    {"u8", NVS_U8},   {"i8", NVS_I8},	{"u16", NVS_U16}, {"i16", NVS_I16},
    {"u32", NVS_U32}, {"i32", NVS_I32}, {"u64", NVS_U64}, {"i64", NVS_I64},
};

static int
at_line_end(const struct csv *c)
{
	return c->p == c->end || *c->p == '\n' ||
	       (*c->p == '\r' && c->p + 1 < c->end && c->p[1] == '\n');
}

static enum err
take_quoted(struct csv *c, struct buf *out)
{
	enum err e = ERR_OK;

	for (c->p++; e == ERR_OK; c->p++) {
		if (c->p == c->end)
			return ERR_REQUEST;
		if (*c->p == '"') {
			if (c->p + 1 == c->end || c->p[1] != '"')
				break;
			c->p++;
		}
		c->next_line += *c->p == '\n';
		e = buf_add(out, c->p, 1);
	}
	if (e == ERR_OK)
		c->p++;
	return e;
}

static enum err
take_field(struct csv *c, struct buf *out)
{
	const char *start = c->p;

	if (c->p < c->end && *c->p == '"')
		return take_quoted(c, out);
	while (!at_line_end(c) && *c->p != ',')
		c->p++;
	return buf_add(out, start, (size_t)(c->p - start));
}

/* ERR_NOT_FOUND at the end. */
static enum err
take_row(struct csv *c)
{
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; i < FIELDS; i++)
		buf_reset(&c->field[i]);
	c->line = c->next_line;
	if (c->p == c->end)
		return ERR_NOT_FOUND;
	for (i = 0; e == ERR_OK; i++) {
		if (i == FIELDS)
			return ERR_REQUEST;
		e = take_field(c, &c->field[i]);
		if (e == ERR_OK && at_line_end(c))
			break;
		if (e == ERR_OK && *c->p++ != ',')
			return ERR_REQUEST;
	}
	if (e != ERR_OK)
		return e;
	if (c->p < c->end && *c->p == '\r')
		c->p++;
	if (c->p < c->end)
		c->p++;
	c->next_line++;
	return ERR_OK;
}

static int
is(const struct buf *b, const char *s)
{
	return b->len == strlen(s) && memcmp(b->p, s, b->len) == 0;
}

/* Decimal or 0x…, with a sign for the signed ones, within the type. */
static enum err
put_number(struct nvs *n, const char *key, enum nvs_type type,
	   const struct buf *value, struct detail *d)
{
	unsigned bits = 8 * ((unsigned)type & 0x0f);
	int is_signed = ((unsigned)type & 0x10) != 0;
	int minus = is_signed && value->len > 0 && value->p[0] == '-';
	uint64_t v, max = UINT64_MAX >> (64 - bits + (unsigned)is_signed);

	if (strlen(value->p) != value->len ||
	    spec_number(value->p + minus, max + (uint64_t)minus, &v) !=
		ERR_OK) {
		detail_set(d, "the value of \"%.16s\" is no number of its "
			      "encoding",
			   key);
		return ERR_REQUEST;
	}
	return nvs_number(n, key, type, minus ? 0 - v : v, d);
}

static void
strip(const char **p, size_t *len)
{
	static const char blank[] = " \t\r\n";

	while (*len > 0 && strchr(blank, (*p)[0]) != NULL) {
		++*p;
		--*len;
	}
	while (*len > 0 && strchr(blank, (*p)[*len - 1]) != NULL)
		--*len;
}

/* base64 as base64url without padding; line ends fall away. */
static enum err
decode_b64(const char *p, size_t len, unsigned char *out, size_t *outlen)
{
	char *plain = malloc(len + 1);
	size_t i, n = 0, pad = 0;
	enum err e = ERR_OK;

	if (plain == NULL)
		return ERR_NOMEM;
	for (i = 0; e == ERR_OK && i < len; i++) {
		if (p[i] == '\n' || p[i] == '\r')
			continue;
		if (p[i] == '=')
			pad++;
		else if (pad > 0 || p[i] == '-' || p[i] == '_')
			e = ERR_REQUEST;
		else
			plain[n++] = (char)(p[i] == '+'	  ? '-'
					    : p[i] == '/' ? '_'
							  : p[i]);
	}
	if (e == ERR_OK && (pad > 2 || (n + pad) % 4 != 0))
		e = ERR_REQUEST;
	if (e == ERR_OK)
		e = b64url_decode(plain, n, out, outlen);
	wipe(plain, len);
	free(plain);
	return e;
}

static enum err
put_decoded(struct nvs *n, const char *key, int hex, const char *p, size_t len,
	    struct detail *d)
{
	unsigned char *out;
	size_t outlen;
	enum err e;

	strip(&p, &len);
	out = malloc(len + 1);
	if (out == NULL)
		return ERR_NOMEM;
	outlen = len / 2;
	e = hex ? spec_hex(p, len, out, outlen)
		: decode_b64(p, len, out, &outlen);
	if (e != ERR_OK)
		detail_set(d, "the value of \"%.16s\" is no %s", key,
			   hex ? "hexadecimal" : "base64");
	else
		e = nvs_blob(n, key, out, outlen, d);
	wipe(out, len);
	free(out);
	return e;
}

static enum err
put_value(struct nvs *n, const char *key, const char *encoding,
	  const struct buf *value, int from_file, struct detail *d)
{
	size_t i;

	if (strcmp(encoding, "string") == 0)
		return nvs_string(n, key, value->p, value->len, d);
	if (strcmp(encoding, "binary") == 0)
		return nvs_blob(n, key, value->p, value->len, d);
	if (strcmp(encoding, "hex2bin") == 0)
		return put_decoded(n, key, 1, value->p, value->len, d);
	if (strcmp(encoding, "base64") == 0)
		return put_decoded(n, key, 0, value->p, value->len, d);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!from_file && strcmp(encoding, numbers[i].name) == 0)
			return put_number(n, key, numbers[i].type, value, d);
	}
	detail_set(d, "encoding \"%.16s\" is not one that %s takes", encoding,
		   from_file ? "a file" : "data");
	return ERR_REQUEST;
}

static enum err
put_file(struct nvs *n, const struct buf *f, struct detail *d)
{
	struct buf content = {.max = CSV_MAX};
	enum err e;

	e = file_read(f[VALUE].p, CSV_MAX, &content);
	if (e == ERR_OK)
		e = put_value(n, f[KEY].p, f[ENCODING].p, &content, 1, d);
	else
		detail_set(d, "file %.100s cannot be read", f[VALUE].p);
	buf_free(&content);
	return e;
}

static enum err
put_row(struct nvs *n, const struct buf *f, struct detail *d)
{
	size_t i;

	for (i = 0; i < VALUE; i++) {
		if (strlen(f[i].p) != f[i].len) {
			detail_set(d, "a field holds a zero");
			return ERR_REQUEST;
		}
	}
	if (is(&f[TYPE], "namespace"))
		return nvs_namespace(n, f[KEY].p, d);
	if (is(&f[TYPE], "data"))
		return put_value(n, f[KEY].p, f[ENCODING].p, &f[VALUE], 0, d);
	if (is(&f[TYPE], "file"))
		return put_file(n, f, d);
	detail_set(d, "type is namespace, data or file");
	return ERR_REQUEST;
}

static int
is_empty(const struct buf *f)
{
	return (f[KEY].len == 0 && f[TYPE].len == 0) ||
	       (f[KEY].len > 0 && f[KEY].p[0] == '#');
}

static enum err
put_rows(struct nvs *n, struct csv *c, struct detail *d)
{
	enum err e = take_row(c);

	if (e != ERR_OK || !is(&c->field[KEY], "key") ||
	    !is(&c->field[TYPE], "type") ||
	    !is(&c->field[ENCODING], "encoding") ||
	    !is(&c->field[VALUE], "value")) {
		detail_set(d, "the header is key,type,encoding,value");
		return ERR_REQUEST;
	}
	while ((e = take_row(c)) == ERR_OK) {
		if (!is_empty(c->field) &&
		    (e = put_row(n, c->field, d)) != ERR_OK)
			return e;
	}
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	detail_set(d, "not four fields, or an open quote");
	return e;
}

enum err
nvs_csv(struct nvs *n, const char *path, struct detail *d)
{
	struct buf text = {.max = CSV_MAX};
	struct detail why = {""};
	struct csv c = {.next_line = 1};
	enum err e;
	size_t i;

	for (i = 0; i < FIELDS; i++) {
		c.field[i].max = CSV_MAX;
		if ((e = buf_add(&c.field[i], "", 0)) != ERR_OK)
			goto out;
	}
	e = file_read(path, CSV_MAX, &text);
	if (e != ERR_OK) {
		detail_set(d, "csv %.100s cannot be read", path);
		goto out;
	}
	c.p = text.p;
	c.end = text.p + text.len;
	if ((e = put_rows(n, &c, &why)) != ERR_OK)
		detail_set(d, "csv %.80s line %zu: %s", path, c.line,
			   why.text);
out:
	for (i = 0; i < FIELDS; i++)
		buf_free(&c.field[i]);
	buf_free(&text);
	return e;
}
