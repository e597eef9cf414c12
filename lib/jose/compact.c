#include "lib/jose/compact.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/secret.h"

#define PART_MAX 4096

enum err
compact_split(const char *s, size_t len, struct compact *out,
    struct detail *d)
{
	const char *a, *b, *end = s + len;

	a = memchr(s, '.', len);
	b = a == NULL ? NULL : memchr(a + 1, '.', (size_t)(end - a) - 1);
	if (b == NULL || memchr(b + 1, '.', (size_t)(end - b) - 1) != NULL) {
		detail_set(d, "not three parts with dots between them");
		return ERR_REQUEST;
	}
	if (a == s || b == a + 1 || b + 1 == end) {
		detail_set(d, "a part is empty");
		return ERR_REQUEST;
	}
	*out = (struct compact){.header = s, .payload = a + 1, .sig = b + 1,
	    .header_len = (size_t)(a - s),
	    .payload_len = (size_t)(b - a) - 1,
	    .sig_len = (size_t)(end - b) - 1,
	    .signed_len = (size_t)(b - s)};
	return ERR_OK;
}

enum err
compact_object(const char *part, size_t len, size_t max, const char *what,
    json_t **out, struct detail *d)
{
	char text[PART_MAX];
	size_t n = max < sizeof(text) ? max : sizeof(text);
	json_error_t je;
	json_t *o;

	if (b64url_decode(part, len, text, &n) != ERR_OK) {
		detail_set(d, "%s: not base64url, or too long", what);
		return ERR_REQUEST;
	}
	/* Refuses a NUL in a text, bad UTF-8 and what follows the object. */
	o = json_loadb(text, n, JOSE_JSON_FLAGS, &je);
	wipe(text, n);
	if (!json_is_object(o)) {
		json_decref(o);
		detail_set(d, "%s: not a JSON object, or a member twice",
		    what);
		return ERR_REQUEST;
	}
	*out = o;
	return ERR_OK;
}

enum err
claim_str(const json_t *o, const char *name, char *out, size_t size,
    struct detail *d)
{
	const json_t *v = json_object_get(o, name);
	size_t len;

	if (!json_is_string(v)) {
		detail_set(d, "%s: missing, or no text", name);
		return ERR_REQUEST;
	}
	len = json_string_length(v);
	if (len == 0 || len >= size ||
	    memchr(json_string_value(v), '\0', len) != NULL) {
		detail_set(d, "%s: 1 to %zu characters", name, size - 1);
		return ERR_REQUEST;
	}
	memcpy(out, json_string_value(v), len + 1);
	return ERR_OK;
}

enum err
claim_num(const json_t *o, const char *name, uint64_t max, uint64_t *out,
    struct detail *d)
{
	const json_t *v = json_object_get(o, name);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max) {
		detail_set(d, "%s: an integer of 0 to %llu", name,
		    (unsigned long long)max);
		return ERR_REQUEST;
	}
	*out = (uint64_t)json_integer_value(v);
	return ERR_OK;
}

static enum err
header_members(json_t *o, struct jose_header *h, struct detail *d)
{
	if (claim_str(o, "alg", h->alg, sizeof(h->alg), d) != ERR_OK ||
	    claim_str(o, "typ", h->typ, sizeof(h->typ), d) != ERR_OK ||
	    claim_str(o, "kid", h->kid, sizeof(h->kid), d) != ERR_OK)
		return ERR_REQUEST;
	if (json_object_size(o) != 3) {
		detail_set(d, "header: members beside alg, typ and kid");
		return ERR_REQUEST;
	}
	return ERR_OK;
}

/*
 * before, then a text of 1 to size - 1 octets of which JSON escapes none,
 * then a quotation mark; *p is behind it. 0: it is not so.
 */
static int
take_plain(const char **p, const char *end, const char *before, char *out,
    size_t size)
{
	size_t len = strlen(before), n = 0;
	const char *s = *p;

	if ((size_t)(end - s) < len || memcmp(s, before, len) != 0)
		return 0;
	s += len;
	while (s + n < end && n < size && s[n] != '"' && s[n] != '\\' &&
	    s[n] >= 0x20 && s[n] <= 0x7e)
		n++;
	if (n == 0 || n == size || s + n == end || s[n] != '"')
		return 0;
	memcpy(out, s, n);
	out[n] = '\0';
	*p = s + n + 1;
	return 1;
}

/*
 * A header just as all of ours are written. What it says is then plain to
 * see; any other is left to the parser.
 */
static int
header_plain(const struct compact *c, struct jose_header *out)
{
	char text[HEADER_MAX];
	struct jose_header h;
	const char *p = text, *end;
	size_t n = sizeof(text);

	if (b64url_decode(c->header, c->header_len, text, &n) != ERR_OK)
		return 0;
	end = text + n;
	if (!take_plain(&p, end, "{\"alg\":\"", h.alg, sizeof(h.alg)) ||
	    !take_plain(&p, end, ",\"typ\":\"", h.typ, sizeof(h.typ)) ||
	    !take_plain(&p, end, ",\"kid\":\"", h.kid, sizeof(h.kid)) ||
	    end - p != 1 || *p != '}')
		return 0;
	*out = h;
	return 1;
}

enum err
compact_header(const struct compact *c, struct jose_header *out,
    struct detail *d)
{
	struct jose_header h;
	json_t *o = NULL;
	enum err e;

	if (header_plain(c, out))
		return ERR_OK;
	e = compact_object(c->header, c->header_len, HEADER_MAX, "header", &o,
	    d);
	if (e != ERR_OK)
		return e;
	e = header_members(o, &h, d);
	json_decref(o);
	if (e == ERR_OK)
		*out = h;
	return e;
}
