#include "lib/base/b64url.h"

/* No table look-ups by a secret index: every octet costs the same. */

/* All ones when lo <= c <= hi, else 0. */
static unsigned
in_range(unsigned c, unsigned lo, unsigned hi)
{
	return (((c - lo) | (hi - c)) >> 31) - 1U;
}

static char
enc6(unsigned v)
{
	unsigned c;

	c = in_range(v, 0, 25) & (v + 'A');
	c |= in_range(v, 26, 51) & (v - 26 + 'a');
	c |= in_range(v, 52, 61) & (v - 52 + '0');
	c |= in_range(v, 62, 62) & '-';
	c |= in_range(v, 63, 63) & '_';
	return (char)(c & 0xff);
}

/* The six bits of c; bit 6 and up set when c is not of the alphabet. */
static unsigned
dec6(unsigned char ch)
{
	unsigned c = ch, v = 0, ok = 0, m;

	m = in_range(c, 'A', 'Z');
	v |= m & (c - 'A');
	ok |= m;
	m = in_range(c, 'a', 'z');
	v |= m & (c - 'a' + 26);
	ok |= m;
	m = in_range(c, '0', '9');
	v |= m & (c - '0' + 52);
	ok |= m;
	m = in_range(c, '-', '-');
	v |= m & 62;
	ok |= m;
	m = in_range(c, '_', '_');
	v |= m & 63;
	ok |= m;
	return v | (~ok & 0x40);
}

void
b64url_encode(const void *p, size_t len, char *out)
{
	const unsigned char *s = p;
	unsigned v;
	size_t i;

	for (i = 0; i + 2 < len; i += 3) {
		v = (unsigned)s[i] << 16 | (unsigned)s[i + 1] << 8 | s[i + 2];
		*out++ = enc6(v >> 18);
		*out++ = enc6(v >> 12 & 63);
		*out++ = enc6(v >> 6 & 63);
		*out++ = enc6(v & 63);
	}
	if (len - i == 1) {
		v = (unsigned)s[i] << 16;
		*out++ = enc6(v >> 18);
		*out++ = enc6(v >> 12 & 63);
	} else if (len - i == 2) {
		v = (unsigned)s[i] << 16 | (unsigned)s[i + 1] << 8;
		*out++ = enc6(v >> 18);
		*out++ = enc6(v >> 12 & 63);
		*out++ = enc6(v >> 6 & 63);
	}
	*out = '\0';
}

enum err
b64url_decode(const char *s, size_t len, void *out, size_t *outlen)
{
	unsigned char *o = out;
	size_t need, i, n = 0;
	unsigned acc = 0, bits = 0, bad = 0, v;

	need = len / 4 * 3 + (len % 4 == 0 ? 0 : len % 4 - 1);
	if (len % 4 == 1 || need > *outlen)
		return ERR_REQUEST;
	for (i = 0; i < len; i++) {
		v = dec6((unsigned char)s[i]);
		bad |= v >> 6;
		acc = (acc << 6 | (v & 63)) & 0xfff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			o[n++] = (unsigned char)(acc >> bits & 0xff);
		}
	}
	/* The bits that are left over must be zero: one text per value. */
	bad |= acc & ((1U << bits) - 1);
	if (bad != 0)
		return ERR_REQUEST;
	*outlen = n;
	return ERR_OK;
}

enum err
b64url_decode_exact(const char *s, size_t len, void *out, size_t outlen)
{
	size_t n = outlen;

	if (len != B64URL_LEN(outlen))
		return ERR_REQUEST;
	return b64url_decode(s, len, out, &n);
}

void
hex_encode(const void *p, size_t len, char *out)
{
	const unsigned char *s = p;
	unsigned v;
	size_t i;

	for (i = 0; i < 2 * len; i++) {
		v = i % 2 == 0 ? s[i / 2] >> 4 : s[i / 2] & 15U;
		*out++ = (char)(v + '0' + (in_range(v, 10, 15) & 39U));
	}
	*out = '\0';
}

enum err
hex_decode_exact(const char *s, size_t len, void *out, size_t outlen)
{
	unsigned char *o = out;
	unsigned c, d, a, bad = 0, acc = 0;
	size_t i;

	if (len % 2 != 0 || len / 2 != outlen)
		return ERR_REQUEST;
	for (i = 0; i < len; i++) {
		c = (unsigned char)s[i];
		d = in_range(c, '0', '9');
		a = in_range(c, 'a', 'f');
		bad |= ~(d | a);
		acc = acc << 4 | (d & (c - '0')) | (a & (c - 'a' + 10));
		if (i % 2 == 1)
			o[i / 2] = (unsigned char)(acc & 0xff);
	}
	return bad != 0 ? ERR_REQUEST : ERR_OK;
}
