#include <string.h>

#include "crc.h"
#include "fealty/device.h"
#include "octets.h"

/*
 * The identity record is a fixed sequence of CBOR items, each in its
 * shortest form, so the reader demands item after item. An error sticks in
 * the cursor and is looked at once, at the end.
 */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
	int bad;
};

enum major { UINT, NINT, BYTES, TEXT, ARRAY, MAP };

#define CRC_LEN 4

static uint32_t
fail(struct cursor *c)
{
	c->bad = 1;
	c->p = c->end;
	return 0;
}

/*
 * The argument of the next item, which must be of that major type, in its
 * shortest form, from min to max. The record has none above 32 bits.
 */
static uint32_t
head(struct cursor *c, enum major major, uint32_t min, uint32_t max)
{
	static const uint32_t shortest[] = {24, 0x100, 0x10000};
	uint32_t v, n, i;

	if (c->p == c->end || *c->p >> 5 != (int)major)
		return fail(c);
	v = *c->p++ & 0x1f;
	if (v > 26)
		return fail(c);
	if (v >= 24) {
		i = v - 24;
		n = UINT32_C(1) << i;
		if ((size_t)(c->end - c->p) < n)
			return fail(c);
		for (v = 0; n > 0; n--)
			v = v << 8 | *c->p++;
		if (v < shortest[i])
			return fail(c);
	}
	return v >= min && v <= max ? v : fail(c);
}

static void
expect(struct cursor *c, enum major major, uint32_t value)
{
	head(c, major, value, value);
}

static const uint8_t *
take(struct cursor *c, size_t len)
{
	const uint8_t *p = c->p;

	if ((size_t)(c->end - c->p) < len) {
		fail(c);
		return NULL;
	}
	c->p += len;
	return p;
}

static int
is_lower_or_digit(uint8_t ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
}

static int
is_alnum(uint8_t ch)
{
	return is_lower_or_digit(ch) || (ch >= 'A' && ch <= 'Z');
}

static int
is_device_id(uint8_t ch)
{
	return is_alnum(ch) || ch == '.' || ch == '_' || ch == ':' || ch == '-';
}

static int
is_audience(uint8_t ch)
{
	return is_lower_or_digit(ch) || ch == '.' || ch == '-';
}

static int
is_host(uint8_t ch)
{
	return is_alnum(ch) || ch == '.' || ch == ':' || ch == '-';
}

static int
is_base64url(uint8_t ch)
{
	return is_alnum(ch) || ch == '-' || ch == '_';
}

/* What may stand in a JSON text as it is. */
static int
is_issuer(uint8_t ch)
{
	return ch > 0x20 && ch < 0x7f && ch != '"' && ch != '\\';
}

static void
text(struct cursor *c, uint32_t min, uint32_t max, int (*is)(uint8_t),
     struct fealty_text *out)
{
	uint32_t i, len = head(c, TEXT, min, max);
	const uint8_t *p = take(c, len);

	if (c->bad)
		return;
	for (i = 0; i < len; i++) {
		if (!is(p[i])) {
			fail(c);
			return;
		}
	}
	out->p = (const char *)p;
	out->len = len;
}

/* COSE_Key (RFC 9052 section 7): {1: 4, -1: k}. */
static const uint8_t *
cose_key(struct cursor *c)
{
	expect(c, MAP, 2);
	expect(c, UINT, 1);
	expect(c, UINT, 4);
	expect(c, NINT, 0);
	expect(c, BYTES, FEALTY_KEY_LEN);
	return take(c, FEALTY_KEY_LEN);
}

static int
same_text(const struct fealty_text *a, const struct fealty_text *b)
{
	return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static void
read_peer(struct cursor *c, struct fealty_record *r)
{
	struct fealty_peer *peer = &r->peers[r->npeers];
	uint32_t i;

	expect(c, ARRAY, 4);
	text(c, 1, FEALTY_ID_MAX, is_audience, &peer->audience);
	text(c, 1, FEALTY_HOST_MAX, is_host, &peer->host);
	peer->port = (uint16_t)head(c, UINT, 1, 65535);
	text(c, FEALTY_IDENTITY_LEN, FEALTY_IDENTITY_LEN, is_base64url,
	     &peer->identity);
	if (c->bad)
		return;
	for (i = 0; i < r->npeers; i++) {
		if (same_text(&peer->audience, &r->peers[i].audience)) {
			fail(c);
			return;
		}
	}
	r->npeers++;
}

static void
read_members(struct cursor *c, struct fealty_record *r)
{
	uint32_t n;

	expect(c, MAP, 7);
	expect(c, UINT, 1);
	expect(c, UINT, 1); /* version */
	expect(c, UINT, 2);
	text(c, 1, FEALTY_ISSUER_MAX, is_issuer, &r->issuer);
	expect(c, UINT, 3);
	text(c, 1, FEALTY_ID_MAX, is_device_id, &r->device_id);
	expect(c, UINT, 4);
	r->epoch = head(c, UINT, 1, UINT32_MAX);
	expect(c, UINT, 5);
	r->key = cose_key(c);
	expect(c, UINT, 6);
	for (n = head(c, ARRAY, 1, FEALTY_PEERS_MAX); n > 0 && !c->bad; n--)
		read_peer(c, r);
	expect(c, UINT, 7);
	expect(c, BYTES, CRC_LEN);
}

/* The checksum stands last and covers every octet before its own four. */
static int
checksum_right(const uint8_t *p, size_t len)
{
	return get32(p + len - CRC_LEN) == fealty_crc32(0, p, len - CRC_LEN);
}

enum fealty_status
fealty_record_read(const void *p, size_t len, struct fealty_record *out)
{
	struct cursor c;

	memset(out, 0, sizeof(*out));
	if (p == NULL || len <= CRC_LEN || len > FEALTY_RECORD_MAX)
		return FEALTY_E_RECORD;
	if (!checksum_right(p, len))
		return FEALTY_E_RECORD;
	c.p = p;
	c.end = c.p + len - CRC_LEN;
	c.bad = 0;
	read_members(&c, out);
	if (c.bad || c.p != c.end) {
		memset(out, 0, sizeof(*out));
		return FEALTY_E_RECORD;
	}
	return FEALTY_OK;
}

const struct fealty_peer *
fealty_record_peer(const struct fealty_record *r, const char *audience)
{
	struct fealty_text name = {audience, strlen(audience)};
	uint32_t i;

	for (i = 0; i < r->npeers; i++) {
		if (same_text(&name, &r->peers[i].audience))
			return &r->peers[i];
	}
	return NULL;
}

enum fealty_status
fealty_text_copy(const struct fealty_text *t, char *out, size_t size)
{
	if (size == 0)
		return FEALTY_E_SPACE;
	if (t->len >= size) {
		out[0] = '\0';
		return FEALTY_E_SPACE;
	}
	if (t->len > 0)
		memcpy(out, t->p, t->len);
	out[t->len] = '\0';
	return FEALTY_OK;
}
