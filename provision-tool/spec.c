#include "provision-tool/spec.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

#define PLACE "{device_id}"

/* Ends the part at s, its "\," made commas; what follows, or NULL. */
static char *
cut(char *s)
{
	char *to = s;

	for (; *s != '\0' && *s != ','; s++) {
		if (s[0] == '\\' && s[1] == ',')
			s++;
		*to++ = *s;
	}
	s = *s == ',' ? s + 1 : NULL;
	*to = '\0';
	return s;
}

static struct spec_opt *
find(struct spec_opt *opts, size_t n, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strlen(opts[i].name) == len &&
		    memcmp(opts[i].name, name, len) == 0)
			return &opts[i];
	}
	return NULL;
}

enum err
spec_split(char *s, struct spec_opt *opts, size_t n, struct detail *d)
{
	struct spec_opt *o;
	char *part, *value, *next;

	for (part = cut(s); part != NULL; part = next) {
		next = cut(part);
		value = strchr(part, '=');
		o = value == NULL
			? NULL
			: find(opts, n, part, (size_t)(value - part));
		if (o == NULL) {
			detail_set(d, "unknown option \"%.60s\" (a comma that "
				      "is no option's is written \"\\,\")",
				   part);
			return ERR_REQUEST;
		}
		if (o->value != NULL) {
			detail_set(d, "%s= is given twice", o->name);
			return ERR_REQUEST;
		}
		o->value = value + 1;
	}
	return ERR_OK;
}

const char *
spec_options(const char *rest)
{
	const char *p = strchr(rest, ',');

	while (p != NULL && p > rest && p[-1] == '\\')
		p = strchr(p + 1, ',');
	return p == NULL ? "" : p;
}

enum err
spec_yes(const struct spec_opt *o, int *out, struct detail *d)
{
	if (o->value == NULL)
		return ERR_OK;
	if (strcmp(o->value, "yes") != 0 && strcmp(o->value, "no") != 0) {
		detail_set(d, "%s= is yes or no", o->name);
		return ERR_REQUEST;
	}
	*out = strcmp(o->value, "yes") == 0;
	return ERR_OK;
}

enum err
spec_wrong(struct detail *d, const char *what)
{
	detail_set(d, "%s", what);
	return ERR_REQUEST;
}

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c == '\0' ? NULL : strchr(digits, c);
	return at == NULL ? -1 : (int)(at - digits);
}

enum err
spec_number(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	int digit;

	if (s[0] != '0' || (s[1] != 'x' && s[1] != 'X'))
		return parse_u64(s, max, out);
	if (strlen(s) < 3 || strlen(s) > 18)
		return ERR_REQUEST;
	for (s += 2; *s != '\0'; s++) {
		if ((digit = hex_digit(*s)) < 0)
			return ERR_REQUEST;
		n = n << 4 | (uint64_t)digit;
	}
	if (n > max)
		return ERR_REQUEST;
	*out = n;
	return ERR_OK;
}

enum err
spec_hex(const char *s, size_t len, void *out, size_t outlen)
{
	unsigned char *o = out;
	char pair[2];
	size_t i;

	if (len % 2 != 0 || len / 2 != outlen)
		return ERR_REQUEST;
	for (i = 0; i < len; i += 2) {
		if (s[i] < '0' || s[i + 1] < '0')
			return ERR_REQUEST;
		pair[0] = (char)(s[i] | 0x20); /* letters become small */
		pair[1] = (char)(s[i + 1] | 0x20);
		if (hex_decode_exact(pair, 2, o + i / 2, 1) != ERR_OK)
			return ERR_REQUEST;
	}
	return ERR_OK;
}

enum err
spec_fill(const char *pattern, const char *place, const char *value, char *out,
	  size_t size)
{
	const char *part;
	size_t len, used = 0;

	while (*pattern != '\0') {
		part = pattern;
		len = 1;
		if (strncmp(pattern, place, strlen(place)) == 0) {
			part = value;
			len = strlen(value);
			pattern += strlen(place) - 1;
		}
		pattern++;
		if (used + len >= size)
			return ERR_NAME;
		memcpy(out + used, part, len);
		used += len;
	}
	out[used] = '\0';
	return ERR_OK;
}

enum err
spec_path(const char *pattern, const char *device_id, char *out, size_t size,
	  struct detail *d)
{
	enum err e;

	if (!name_is_device_id(device_id)) {
		detail_set(d, "not a device_id");
		return ERR_NAME;
	}
	e = spec_fill(pattern, PLACE, device_id, out, size);
	if (e != ERR_OK)
		detail_set(d, "the path is too long");
	return e;
}
