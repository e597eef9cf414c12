#include <cbor.h>
#include <string.h>

#include "lib/wire/record.h"

/*
 * Encoding: libcbor's encoders write straight into the secret, so no second
 * copy of the key is made. Decoding: its streaming decoder hands out one
 * item at a time, pointing into the input, for the same reason; whatever it
 * lets pass that is not canonical falls when the result is encoded again and
 * compared.
 */
#define CRC_LEN 4
#define VERSION 1
#define COSE_KTY_SYMMETRIC 4

enum member {
	M_VERSION = 1,
	M_ISSUER,
	M_DEVICE_ID,
	M_EPOCH,
	M_KEY,
	M_PEERS,
	M_CHECKSUM
};

void
record_wipe(struct record *r)
{
	if (r != NULL)
		wipe(r, sizeof(*r));
}

/* CRC-32 of ISO 3309 (as in zlib, Ethernet). */
static uint32_t
crc32(const unsigned char *p, size_t len)
{
	uint32_t crc = 0xffffffff;
	size_t i;
	int bit;

	for (i = 0; i < len; i++) {
		crc ^= p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
	}
	return ~crc;
}

static void
crc_octets(const unsigned char *p, size_t len, unsigned char out[CRC_LEN])
{
	uint32_t crc = crc32(p, len);

	out[0] = (unsigned char)(crc >> 24);
	out[1] = (unsigned char)(crc >> 16);
	out[2] = (unsigned char)(crc >> 8);
	out[3] = (unsigned char)crc;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER

static int
text_ok(const char *s, const char *set, size_t min, size_t max)
{
	size_t n = strlen(s);

	return n >= min && n <= max && strspn(s, set) == n;
}

static int
issuer_ok(const char *s)
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++) {
		if (s[n] <= ' ' || s[n] >= 0x7f || s[n] == '"' || s[n] == '\\')
			return 0;
	}
	return n > 0 && n <= ISSUER_MAX;
}

static int
peer_ok(const struct record *r, uint32_t i)
{
	const struct peer *p = &r->peers[i];
	uint32_t j;

	for (j = 0; j < i; j++) {
		if (strcmp(r->peers[j].audience, p->audience) == 0)
			return 0;
	}
	return text_ok(p->audience, LOWER ".-", 1, NAME_MAX_LEN) &&
	       text_ok(p->host, ALNUM ".:-", 1, 253) && p->port > 0 &&
	       text_ok(p->identity, ALNUM "-_", PSKID_LEN, PSKID_LEN);
}

static int
record_ok(const struct record *r)
{
	uint32_t i;

	if (!issuer_ok(r->issuer) || r->epoch == 0 ||
	    !text_ok(r->device_id, ALNUM "._:-", 1, NAME_MAX_LEN) ||
	    r->npeers == 0 || r->npeers > RECORD_PEERS_MAX)
		return 0;
	for (i = 0; i < r->npeers; i++) {
		if (!peer_ok(r, i))
			return 0;
	}
	return 1;
}

/* What is written; the buffer has room for the longest record there is. */
struct out {
	unsigned char *p;
	size_t size, len;
};

static void
put_uint(struct out *o, uint64_t v)
{
	o->len += cbor_encode_uint(v, o->p + o->len, o->size - o->len);
}

static void
put_octets(struct out *o, const void *p, size_t len)
{
	if (o->size - o->len < len)
		return;
	memcpy(o->p + o->len, p, len);
	o->len += len;
}

static void
put_bytes(struct out *o, const void *p, size_t len)
{
	o->len +=
	    cbor_encode_bytestring_start(len, o->p + o->len, o->size - o->len);
	put_octets(o, p, len);
}

static void
put_text(struct out *o, const char *s)
{
	o->len += cbor_encode_string_start(strlen(s), o->p + o->len,
					   o->size - o->len);
	put_octets(o, s, strlen(s));
}

static void
put_array(struct out *o, size_t n)
{
	o->len += cbor_encode_array_start(n, o->p + o->len, o->size - o->len);
}

static void
put_map(struct out *o, size_t n)
{
	o->len += cbor_encode_map_start(n, o->p + o->len, o->size - o->len);
}

/* {1: 4, -1: k} (RFC 9052 section 7, RFC 9053 section 6.1) */
static void
put_key(struct out *o, const struct key32 *k)
{
	put_map(o, 2);
	put_uint(o, 1);
	put_uint(o, COSE_KTY_SYMMETRIC);
	o->len += cbor_encode_negint(0, o->p + o->len, o->size - o->len);
	put_bytes(o, k->b, sizeof(k->b));
}

static void
put_peers(struct out *o, const struct record *r)
{
	uint32_t i;

	put_array(o, r->npeers);
	for (i = 0; i < r->npeers; i++) {
		put_array(o, 4);
		put_text(o, r->peers[i].audience);
		put_text(o, r->peers[i].host);
		put_uint(o, r->peers[i].port);
		put_text(o, r->peers[i].identity);
	}
}

static void
put_record(struct out *o, const struct record *r)
{
	unsigned char crc[CRC_LEN];

	put_map(o, M_CHECKSUM);
	put_uint(o, M_VERSION);
	put_uint(o, VERSION);
	put_uint(o, M_ISSUER);
	put_text(o, r->issuer);
	put_uint(o, M_DEVICE_ID);
	put_text(o, r->device_id);
	put_uint(o, M_EPOCH);
	put_uint(o, r->epoch);
	put_uint(o, M_KEY);
	put_key(o, &r->key);
	put_uint(o, M_PEERS);
	put_peers(o, r);
	put_uint(o, M_CHECKSUM);
	/* the checksum covers all before its own octets: the head too */
	o->len += cbor_encode_bytestring_start(CRC_LEN, o->p + o->len,
					       o->size - o->len);
	crc_octets(o->p, o->len, crc);
	put_octets(o, crc, CRC_LEN);
}

enum err
record_encode(const struct record *r, struct secret *out)
{
	struct secret room = {0};
	struct out o;
	enum err e;

	if (!record_ok(r))
		return ERR_RECORD;
	if ((e = secret_resize(&room, RECORD_MAX)) != ERR_OK)
		return e;
	o = (struct out){.p = room.p, .size = room.len};
	put_record(&o, r);
	e = secret_set(out, o.p, o.len);
	secret_free(&room);
	return e;
}

/* The head of one item, or with a string the whole of it. */
struct item {
	enum { I_NONE, I_UINT, I_NINT, I_BYTES, I_TEXT, I_ARRAY, I_MAP } type;
	uint64_t value; /* or length */
	const unsigned char *p;
};

static void
on_uint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){.type = I_UINT, .value = v};
}

static void
on_uint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){.type = I_UINT, .value = v};
}

static void
on_uint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){.type = I_UINT, .value = v};
}

static void
on_negint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){.type = I_NINT, .value = v};
}

static void
on_bytes(void *ctx, cbor_data p, size_t len)
{
	*(struct item *)ctx =
	    (struct item){.type = I_BYTES, .value = len, .p = p};
}

static void
on_text(void *ctx, cbor_data p, size_t len)
{
	*(struct item *)ctx =
	    (struct item){.type = I_TEXT, .value = len, .p = p};
}

static void
on_array(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){.type = I_ARRAY, .value = n};
}

static void
on_map(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){.type = I_MAP, .value = n};
}

/* What is read; an error sticks. */
struct in {
	const unsigned char *p;
	size_t len;
	int bad;
};

static struct item
next(struct in *in, int type)
{
	struct cbor_callbacks on = cbor_empty_callbacks;
	struct cbor_decoder_result res;
	struct item item = {.type = I_NONE};

	on.uint8 = on_uint8;
	on.uint16 = on_uint16;
	on.uint32 = on_uint32;
	on.negint8 = on_negint8;
	on.byte_string = on_bytes;
	on.string = on_text;
	on.array_start = on_array;
	on.map_start = on_map;
	if (!in->bad) {
		res = cbor_stream_decode(in->p, in->len, &on, &item);
		if (res.status == CBOR_DECODER_FINISHED &&
		    (int)item.type == type && res.read <= in->len) {
			in->p += res.read;
			in->len -= res.read;
			return item;
		}
	}
	in->bad = 1;
	return (struct item){.type = I_NONE};
}

static void
expect(struct in *in, int type, uint64_t value)
{
	if (next(in, type).value != value)
		in->bad = 1;
}

static uint64_t
get_uint(struct in *in, uint64_t max)
{
	uint64_t v = next(in, I_UINT).value;

	if (v > max)
		in->bad = 1;
	return in->bad ? 0 : v;
}

static void
get_text(struct in *in, char *out, size_t size)
{
	struct item item = next(in, I_TEXT);

	if (in->bad || item.value >= size ||
	    memchr(item.p, '\0', item.value) != NULL) {
		in->bad = 1;
		return;
	}
	memcpy(out, item.p, item.value);
	out[item.value] = '\0';
}

static void
get_key(struct in *in, struct key32 *k)
{
	struct item item;

	expect(in, I_MAP, 2);
	expect(in, I_UINT, 1);
	expect(in, I_UINT, COSE_KTY_SYMMETRIC);
	expect(in, I_NINT, 0);
	item = next(in, I_BYTES);
	if (in->bad || item.value != sizeof(k->b)) {
		in->bad = 1;
		return;
	}
	memcpy(k->b, item.p, sizeof(k->b));
}

static void
get_peers(struct in *in, struct record *r)
{
	uint64_t i, n = next(in, I_ARRAY).value;

	if (n > RECORD_PEERS_MAX)
		in->bad = 1;
	for (i = 0; i < n && !in->bad; i++) {
		expect(in, I_ARRAY, 4);
		get_text(in, r->peers[i].audience,
			 sizeof(r->peers[i].audience));
		get_text(in, r->peers[i].host, sizeof(r->peers[i].host));
		r->peers[i].port = (uint16_t)get_uint(in, UINT16_MAX);
		get_text(in, r->peers[i].identity,
			 sizeof(r->peers[i].identity));
		r->npeers++;
	}
}

static void
get_record(struct in *in, struct record *r)
{
	expect(in, I_MAP, M_CHECKSUM);
	expect(in, I_UINT, M_VERSION);
	expect(in, I_UINT, VERSION);
	expect(in, I_UINT, M_ISSUER);
	get_text(in, r->issuer, sizeof(r->issuer));
	expect(in, I_UINT, M_DEVICE_ID);
	get_text(in, r->device_id, sizeof(r->device_id));
	expect(in, I_UINT, M_EPOCH);
	r->epoch = (uint32_t)get_uint(in, UINT32_MAX);
	expect(in, I_UINT, M_KEY);
	get_key(in, &r->key);
	expect(in, I_UINT, M_PEERS);
	get_peers(in, r);
	expect(in, I_UINT, M_CHECKSUM);
	if (next(in, I_BYTES).value != CRC_LEN || in->len != 0)
		in->bad = 1;
}

/* Is p what record_encode makes of r? */
static enum err
check_canonical(const struct record *r, const void *p, size_t len)
{
	struct secret again = {0};
	enum err e;

	e = record_encode(r, &again);
	if (e == ERR_OK && (again.len != len || !ct_equal(again.p, p, len)))
		e = ERR_RECORD;
	secret_free(&again);
	return e;
}

enum err
record_decode(const void *p, size_t len, struct record *out, struct detail *d)
{
	const unsigned char *octets = p;
	struct in in = {.p = p, .len = len};
	struct record r;
	unsigned char crc[CRC_LEN];
	enum err e = ERR_RECORD;

	memset(&r, 0, sizeof(r));
	if (len <= CRC_LEN || len > RECORD_MAX) {
		detail_set(d, "identity record: length %zu, not 5 to %d", len,
			   RECORD_MAX);
		goto out;
	}
	crc_octets(octets, len - CRC_LEN, crc);
	if (memcmp(crc, octets + len - CRC_LEN, CRC_LEN) != 0) {
		detail_set(d, "identity record: checksum wrong, the write "
			      "was torn or the octets changed");
		goto out;
	}
	get_record(&in, &r);
	if (in.bad) {
		detail_set(d, "identity record: wrong item before octet %zu",
			   len - in.len);
		goto out;
	}
	e = check_canonical(&r, p, len);
	if (e == ERR_RECORD)
		detail_set(d, "identity record: not the canonical encoding "
			      "of a valid record");
	if (e == ERR_OK)
		*out = r;
out:
	record_wipe(&r);
	return e;
}
