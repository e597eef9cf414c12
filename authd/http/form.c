#include "authd/http/form.h"

#include <string.h>

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Nothing to decode: most texts, tokens above all. */
static int
is_plain(const char *src, size_t len, int plus)
{
	return memchr(src, '%', len) == NULL &&
	    memchr(src, '\0', len) == NULL &&
	    (!plus || memchr(src, '+', len) == NULL);
}

/* out may be src itself: it never runs ahead. */
enum err
percent_decode(const char *src, size_t len, int plus, char *out, size_t size)
{
	size_t i, n = 0;
	int hi, lo;
	char c;

	if (len < size && is_plain(src, len, plus)) {
		memmove(out, src, len);
		out[len] = '\0';
		return ERR_OK;
	}
	for (i = 0; i < len; i++) {
		c = src[i];
		if (c == '%') {
			if (len - i < 3)
				return ERR_REQUEST;
			hi = hex_value(src[i + 1]);
			lo = hex_value(src[i + 2]);
			if (hi < 0 || lo < 0)
				return ERR_REQUEST;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0' || n + 1 >= size)
			return ERR_REQUEST;
		out[n++] = c;
	}
	if (n >= size)
		return ERR_REQUEST;
	out[n] = '\0';
	return ERR_OK;
}

/* One "name=value" in place; the octet behind it becomes NUL. */
static enum err
parse_pair(char *s, size_t len, struct form *f)
{
	char *eq = memchr(s, '=', len);
	size_t nlen = eq == NULL ? len : (size_t)(eq - s);
	char *value = eq == NULL ? s + len : eq + 1;
	size_t vlen = eq == NULL ? 0 : len - nlen - 1;

	if (nlen == 0 || f->n == FORM_FIELDS_MAX)
		return ERR_REQUEST;
	if (percent_decode(value, vlen, 1, value, vlen + 1) != ERR_OK ||
	    percent_decode(s, nlen, 1, s, nlen + 1) != ERR_OK)
		return ERR_REQUEST;
	f->field[f->n].name = s;
	f->field[f->n].value = eq == NULL ? "" : value;
	f->n++;
	return ERR_OK;
}

enum err
form_parse(char *text, size_t len, struct form *out, struct detail *d)
{
	char *s = text, *end = text + len, *amp;

	out->n = 0;
	while (s < end) {
		amp = memchr(s, '&', (size_t)(end - s));
		if (amp == NULL)
			amp = end;
		if (amp > s && parse_pair(s, (size_t)(amp - s), out) !=
		    ERR_OK) {
			detail_set(d, "parameter %zu: malformed or too many",
			    out->n + 1);
			out->n = 0;
			return ERR_REQUEST;
		}
		s = amp + 1;
	}
	return ERR_OK;
}

enum err
form_one(const struct form *f, const char *name, const char **out,
    struct detail *d)
{
	const char *v = NULL;
	size_t i;
	int seen = 0;

	for (i = 0; i < f->n; i++) {
		if (strcmp(f->field[i].name, name) != 0)
			continue;
		if (seen) {
			detail_set(d, "parameter %s: given twice", name);
			return ERR_REQUEST;
		}
		seen = 1;
		if (f->field[i].value[0] != '\0')
			v = f->field[i].value;
	}
	*out = v;
	return ERR_OK;
}

enum err
form_all(const struct form *f, const char *name, const char **out, size_t max,
    size_t *n, struct detail *d)
{
	size_t i, found = 0;

	for (i = 0; i < f->n; i++) {
		if (strcmp(f->field[i].name, name) != 0)
			continue;
		if (found == max) {
			detail_set(d, "parameter %s: at most %zu", name, max);
			return ERR_REQUEST;
		}
		out[found++] = f->field[i].value;
	}
	*n = found;
	return ERR_OK;
}

/*
 * The name is the sender's: only what is plain of it is shown, and too little
 * of it for a credential that was put in the wrong place.
 */
static void
unknown(const char *name, struct detail *d)
{
	char shown[21];
	size_t i;

	for (i = 0; name[i] != '\0' && i < sizeof(shown) - 1; i++)
		shown[i] = name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?';
	shown[i] = '\0';
	detail_set(d, "parameter %s: unknown", shown);
}

enum err
form_only(const struct form *f, const char *const *names, struct detail *d)
{
	const char *const *p;
	size_t i;

	for (i = 0; i < f->n; i++) {
		for (p = names; *p != NULL; p++)
			if (strcmp(f->field[i].name, *p) == 0)
				break;
		if (*p == NULL) {
			unknown(f->field[i].name, d);
			return ERR_REQUEST;
		}
	}
	return ERR_OK;
}
