#include "provision-tool/scrub.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"

#define SEEN 8	/* octets of the key that give it away */
#define SEEN64 11 /* characters of base64 that hold as many whole */

static int
finds_windows(const char *hay, size_t len, const char *needle, size_t n,
	      size_t window)
{
	size_t i;

	for (i = 0; i + window <= n; i++) {
		if (memmem(hay, len, needle + i, window) != NULL)
			return 1;
	}
	return 0;
}

/* Only the digits of hexadecimal, small; "0x" falls away. */
static size_t
keep_hex(char *out, const char *p, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (p[i] == '0' && i + 1 < len && (p[i + 1] | 0x20) == 'x')
			i++;
		else if (isxdigit((unsigned char)p[i]))
			out[n++] = (char)tolower((unsigned char)p[i]);
	}
	return n;
}

/* Only the characters of base64, as base64url. */
static size_t
keep_b64(char *out, const char *p, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (isalnum((unsigned char)p[i]) || p[i] == '-' || p[i] == '_')
			out[n++] = p[i];
		else if (p[i] == '+' || p[i] == '/')
			out[n++] = p[i] == '+' ? '-' : '_';
	}
	return n;
}

static int
finds_b64(const struct key32 *key, const char *hay, size_t len)
{
	char text[B64URL_LEN(KEY32_LEN) + 1];
	size_t off, whole;
	int found = 0;

	for (off = 0; off < 3 && !found; off++) {
		whole = (KEY32_LEN - off) / 3 * 3;
		b64url_encode(key->b + off, whole, text);
		found = finds_windows(hay, len, text, strlen(text), SEEN64);
	}
	wipe(text, sizeof(text));
	return found;
}

int
scrub_finds(const struct key32 *key, const char *p, size_t len)
{
	char hex[2 * KEY32_LEN + 1], *kept;
	size_t n;
	int found;

	if (len == 0)
		return 0;
	if ((kept = malloc(len)) == NULL)
		return 1;
	hex_encode(key->b, KEY32_LEN, hex);
	found = finds_windows(p, len, (const char *)key->b, KEY32_LEN, SEEN);
	n = keep_hex(kept, p, len);
	found |= finds_windows(kept, n, hex, 2 * KEY32_LEN, 2 * SEEN);
	n = keep_b64(kept, p, len);
	found |= finds_b64(key, kept, n);
	wipe(kept, len);
	wipe(hex, sizeof(hex));
	free(kept);
	return found;
}
