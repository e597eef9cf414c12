#include "lib/base/b64url.h"

#include <string.h>

#include "lib/base/secret.h"

/* No table look-ups by a secret index: every octet costs the same. */

/* All ones when lo <= c <= hi, else 0. */
static unsigned
in_range(unsigned c, unsigned lo, unsigned hi)
{
	return (((c - lo) | (hi - c)) >> 31) - 1U;
}

/*
 * Whole blocks: a loop of a fixed number of octets, each a sum of masks,
 * which the compiler turns into vector code.
 */
#define BLOCK 64

/* 255 when lo <= c, and when lo <= c <= hi; else 0. */
#define FROM(c, lo) ((unsigned char)-((c) >= (lo)))
#define WITHIN(c, lo, hi) \
	((unsigned char)-(((c) >= (lo)) & ((c) <= (hi))))

static inline unsigned char
enc6(unsigned char v)
{
	unsigned char c = (unsigned char)(v + 'A');

	c = (unsigned char)(c + (FROM(v, 26) & ('a' - 'A' - 26)));
	c = (unsigned char)(c + (FROM(v, 52) & ('0' - 'a' - 26)));
	c = (unsigned char)(c + (FROM(v, 62) & ('-' - '0' - 10)));
	return (unsigned char)(c + (FROM(v, 63) & ('_' - '-' - 1)));
}

/* The six bits of c; bit 6 set when c is not of the alphabet. */
static inline unsigned char
dec6(unsigned char c)
{
	unsigned char az = WITHIN(c, 'a', 'z'), d = WITHIN(c, '0', '9');
	unsigned char AZ = WITHIN(c, 'A', 'Z'), v;
	unsigned char minus = WITHIN(c, '-', '-'), low = WITHIN(c, '_', '_');

	v = AZ & (unsigned char)(c - 'A');
	v |= az & (unsigned char)(c - 'a' + 26);
	v |= d & (unsigned char)(c - '0' + 52);
	v |= (unsigned char)((minus & 62) | (low & 63));
	return v | (0x40 & (unsigned char)~(AZ | az | d | minus | low));
}

static void
encode_block(unsigned char v[BLOCK])
{
	int i;

	for (i = 0; i < BLOCK; i++)
		v[i] = enc6(v[i]);
}

static void
decode_block(unsigned char v[BLOCK])
{
	int i;

	for (i = 0; i < BLOCK; i++)
		v[i] = dec6(v[i]);
}

/* At most 48 octets as six-bit values, then as text; how many characters. */
static size_t
encode_some(const unsigned char *s, size_t len, char *out)
{
	unsigned char v[BLOCK] = {0};
	size_t n = B64URL_LEN(len), i, k = 0;
	unsigned acc;

	for (i = 0; i < len; i += 3, k += 4) {
		acc = (unsigned)s[i] << 16;
		acc |= i + 1 < len ? (unsigned)s[i + 1] << 8 : 0;
		acc |= i + 2 < len ? s[i + 2] : 0;
		v[k] = (unsigned char)(acc >> 18);
		v[k + 1] = acc >> 12 & 63;
		v[k + 2] = acc >> 6 & 63;
		v[k + 3] = acc & 63;
	}
	encode_block(v);
	memcpy(out, v, n);
	wipe(v, sizeof(v));
	return n;
}

void
b64url_encode(const void *p, size_t len, char *out)
{
	const unsigned char *s = p;
	size_t n;

	for (; len > 0; s += n, len -= n) {
		n = len < BLOCK / 4 * 3 ? len : BLOCK / 4 * 3;
		out += encode_some(s, n, out);
	}
	*out = '\0';
}

/* At most 64 characters; how many octets. *bad gets what is not zero of. */
static size_t
decode_some(const unsigned char *s, size_t len, unsigned char *out,
    unsigned *bad)
{
	unsigned char v[BLOCK];
	size_t n = 0, i;
	unsigned acc;

	memset(v, 'A', sizeof(v));
	memcpy(v, s, len);
	decode_block(v);
	for (i = 0; i < BLOCK; i++)
		*bad |= v[i] & 0x40U;
	for (i = 0; i + 4 <= len; i += 4) {
		acc = (v[i] & 63U) << 18 | (v[i + 1] & 63U) << 12 |
		    (v[i + 2] & 63U) << 6 | (v[i + 3] & 63U);
		out[n++] = (unsigned char)(acc >> 16);
		out[n++] = acc >> 8 & 0xff;
		out[n++] = acc & 0xff;
	}
	/* The bits that are left over must be zero: one text per value. */
	if (len - i >= 2) {
		out[n++] = (unsigned char)((v[i] << 2 | v[i + 1] >> 4) &
		    0xff);
		*bad |= len - i == 2 ? v[i + 1] & 15U : v[i + 2] & 3U;
	}
	if (len - i == 3)
		out[n++] = (unsigned char)((v[i + 1] << 4 | v[i + 2] >> 2) &
		    0xff);
	wipe(v, sizeof(v));
	return n;
}

enum err
b64url_decode(const char *s, size_t len, void *out, size_t *outlen)
{
	const unsigned char *in = (const unsigned char *)s;
	unsigned char *o = out;
	size_t need, k, n = 0;
	unsigned bad = 0;

	need = len / 4 * 3 + (len % 4 == 0 ? 0 : len % 4 - 1);
	if (len % 4 == 1 || need > *outlen)
		return ERR_REQUEST;
	for (; len > 0; in += k, len -= k) {
		k = len < BLOCK ? len : BLOCK;
		n += decode_some(in, k, o + n, &bad);
	}
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
