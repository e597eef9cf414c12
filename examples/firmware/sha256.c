#include "sha256.h"

#include <string.h>

#include <fealty/device.h>

#define BLOCK 64

struct sha256 {
	uint32_t h[8];
	uint32_t len; /* octets so far */
	uint8_t block[BLOCK];
};

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t
rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* The message schedule, sixteen words at a time: word i, from the last 16. */
static uint32_t
word(uint32_t w[16], unsigned i)
{
	uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];

	w[i & 15] += (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[(i + 9) & 15] +
		     (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
	return w[i & 15];
}

/* a to h of FIPS 180-4 in round i: they move on by one in each. */
#define V(k) v[((k) - i) & 7]

static void
compress(struct sha256 *s)
{
	uint32_t v[8], w[16], t, u;
	const uint8_t *p = s->block;
	unsigned i;

	memcpy(v, s->h, sizeof(v));
	for (i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		       (uint32_t)p[2] << 8 | p[3];
	for (i = 0; i < 64; i++) {
		t = V(7) + (rotr(V(4), 6) ^ rotr(V(4), 11) ^ rotr(V(4), 25)) +
		    ((V(4) & V(5)) ^ (~V(4) & V(6))) + round_constant[i] +
		    (i < 16 ? w[i] : word(w, i));
		u = (rotr(V(0), 2) ^ rotr(V(0), 13) ^ rotr(V(0), 22)) +
		    ((V(0) & V(1)) ^ (V(0) & V(2)) ^ (V(1) & V(2)));
		V(3) += t;
		V(7) = t + u;
	}
	for (i = 0; i < 8; i++)
		s->h[i] += v[i];
	fealty_wipe(v, sizeof(v));
	fealty_wipe(w, sizeof(w));
}

static void
start(struct sha256 *s)
{
	static const uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
				      0xa54ff53a, 0x510e527f, 0x9b05688c,
				      0x1f83d9ab, 0x5be0cd19};

	memcpy(s->h, h, sizeof(h));
	s->len = 0;
}

static void
add(struct sha256 *s, const uint8_t *p, size_t len)
{
	for (; len > 0; len--) {
		s->block[s->len++ % BLOCK] = *p++;
		if (s->len % BLOCK == 0)
			compress(s);
	}
}

static void
finish(struct sha256 *s, uint8_t out[32])
{
	static const uint8_t one = 0x80, zero = 0;
	uint32_t bits = s->len << 3, high = s->len >> 29;
	uint8_t tail[8] = {0, 0, 0, (uint8_t)high, (uint8_t)(bits >> 24),
			   (uint8_t)(bits >> 16), (uint8_t)(bits >> 8),
			   (uint8_t)bits};
	unsigned i;

	add(s, &one, 1);
	while (s->len % BLOCK != BLOCK - 8)
		add(s, &zero, 1);
	add(s, tail, sizeof(tail));
	for (i = 0; i < 32; i++)
		out[i] = (uint8_t)(s->h[i / 4] >> (24 - i % 4 * 8));
}

/* The key with each octet changed, as the first block. */
static void
start_keyed(struct sha256 *s, const uint8_t *key, size_t keylen, uint8_t pad)
{
	uint8_t octet;
	size_t i;

	start(s);
	for (i = 0; i < BLOCK; i++) {
		octet = (uint8_t)((i < keylen ? key[i] : 0) ^ pad);
		add(s, &octet, 1);
	}
}

int
sha256_hmac(void *ctx, const uint8_t *key, size_t keylen, const uint8_t *msg,
	    size_t len, uint8_t out[32])
{
	struct sha256 s;

	(void)ctx;
	if (key == NULL || keylen > BLOCK)
		return -1;
	start_keyed(&s, key, keylen, 0x36);
	add(&s, msg, len);
	finish(&s, out);
	start_keyed(&s, key, keylen, 0x5c);
	add(&s, out, 32);
	finish(&s, out);
	fealty_wipe(&s, sizeof(s));
	return 0;
}
