/*
 * The identity record: the host's codec and the device's reader against the
 * golden vectors, against everything that is no record, and each other.
 */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <fealty/device.h>
#include "lib/base/b64url.h"
#include "lib/wire/record.h"

static json_t *vectors;

static int
load(void **state)
{
	json_error_t why;

	(void)state;
	vectors = json_load_file(VECTORS "/identity-record.json", 0, &why);
	return vectors == NULL ? -1 : 0;
}

static int
unload(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

static const char *
str(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	assert_non_null(s);
	return s;
}

/* Allocated exactly, so that a sanitizer sees a read beyond. */
static unsigned char *
octets(const char *hex, size_t *len)
{
	unsigned char *p;

	*len = strlen(hex) / 2;
	p = malloc(*len == 0 ? 1 : *len);
	assert_non_null(p);
	assert_int_equal(hex_decode_exact(hex, *len * 2, p, *len), ERR_OK);
	return p;
}

static void
fill(json_t *v, struct record *r)
{
	json_t *peers = json_object_get(v, "peers"), *p;
	size_t i;

	memset(r, 0, sizeof(*r));
	strcpy(r->issuer, str(v, "issuer"));
	strcpy(r->device_id, str(v, "device_id"));
	r->epoch = (uint32_t)json_integer_value(json_object_get(v, "epoch"));
	assert_int_equal(hex_decode_exact(str(v, "key"), 64, r->key.b, 32),
			 ERR_OK);
	json_array_foreach(peers, i, p)
	{
		strcpy(r->peers[i].audience, str(p, "audience"));
		strcpy(r->peers[i].host, str(p, "host"));
		strcpy(r->peers[i].identity, str(p, "identity"));
		r->peers[i].port =
		    (uint16_t)json_integer_value(json_object_get(p, "port"));
		r->npeers++;
	}
}

static void
assert_text(const struct fealty_text *t, const char *s)
{
	char copy[300];

	assert_int_equal(fealty_text_copy(t, copy, sizeof(copy)), FEALTY_OK);
	assert_string_equal(copy, s);
}

static void
assert_same(const struct fealty_record *f, const struct record *r)
{
	uint32_t i;

	assert_text(&f->issuer, r->issuer);
	assert_text(&f->device_id, r->device_id);
	assert_int_equal(f->epoch, r->epoch);
	assert_memory_equal(f->key, r->key.b, 32);
	assert_int_equal(f->npeers, r->npeers);
	for (i = 0; i < r->npeers; i++) {
		assert_text(&f->peers[i].audience, r->peers[i].audience);
		assert_text(&f->peers[i].host, r->peers[i].host);
		assert_text(&f->peers[i].identity, r->peers[i].identity);
		assert_int_equal(f->peers[i].port, r->peers[i].port);
		assert_ptr_equal(fealty_record_peer(f, r->peers[i].audience),
				 &f->peers[i]);
	}
}

/*
 * What both say of the octets: 1 a record, and the same, 0 none. It fails
 * when they differ.
 */
static int
verdict(const unsigned char *p, size_t len)
{
	struct fealty_record f;
	struct record r, before;
	struct detail d = {""};
	enum fealty_status s;
	enum err e;

	memset(&r, 0x5a, sizeof(r));
	before = r;
	e = record_decode(p, len, &r, &d);
	s = fealty_record_read(p, len, &f);
	assert_int_equal(e == ERR_OK, s == FEALTY_OK);
	if (e == ERR_OK) {
		assert_same(&f, &r);
		return 1;
	}
	assert_int_equal(e, ERR_RECORD);
	assert_int_equal(s, FEALTY_E_RECORD);
	assert_memory_equal(&r, &before, sizeof(r));
	assert_true(d.text[0] != '\0');
	assert_null(f.key);
	assert_int_equal(f.npeers, 0);
	return 0;
}

static void
golden_records_are_written_and_read_to_the_octet(void **state)
{
	struct secret out = {0};
	struct fealty_record f;
	struct record r, back;
	unsigned char *p;
	json_t *v;
	size_t i, len;

	(void)state;
	json_array_foreach(json_object_get(vectors, "records"), i, v)
	{
		p = octets(str(v, "cbor"), &len);
		fill(v, &r);
		assert_int_equal(record_encode(&r, &out), ERR_OK);
		assert_int_equal(out.len, len);
		assert_memory_equal(out.p, p, len);
		memset(&back, 0, sizeof(back));
		assert_int_equal(record_decode(p, len, &back, NULL), ERR_OK);
		assert_memory_equal(&back.key, &r.key, sizeof(r.key));
		assert_int_equal(fealty_record_read(p, len, &f), FEALTY_OK);
		assert_same(&f, &r);
		assert_same(&f, &back);
		free(p);
	}
	assert_true(i >= 4);
	secret_free(&out);
}

static void
every_malformed_vector_is_refused_by_host_and_device(void **state)
{
	unsigned char *p;
	json_t *v;
	size_t i, len;

	(void)state;
	json_array_foreach(json_object_get(vectors, "refused"), i, v)
	{
		p = octets(str(v, "cbor"), &len);
		if (verdict(p, len))
			fail_msg("accepted: %s", str(v, "about"));
		free(p);
	}
	assert_true(i >= 200);
}

static void
every_truncation_is_refused_by_host_and_device(void **state)
{
	unsigned char *p, *cut;
	json_t *v;
	size_t i, len, n;

	(void)state;
	json_array_foreach(json_object_get(vectors, "records"), i, v)
	{
		p = octets(str(v, "cbor"), &len);
		for (n = 0; n < len; n++) {
			cut = malloc(n == 0 ? 1 : n);
			assert_non_null(cut);
			memcpy(cut, p, n);
			assert_int_equal(verdict(cut, n), 0);
			free(cut);
		}
		free(p);
	}
}

/* Page by page, as flash and disks lose their writes. */
static void
every_torn_write_is_refused_by_host_and_device(void **state)
{
	static const unsigned char erased[] = {0x00, 0xff};
	unsigned char *p, *torn;
	size_t len, n, e;

	(void)state;
	p = octets(
	    str(json_array_get(json_object_get(vectors, "records"), 0), "cbor"),
	    &len);
	torn = malloc(len);
	assert_non_null(torn);
	for (e = 0; e < sizeof(erased); e++) {
		for (n = 0; n < len; n++) {
			memset(torn, erased[e], len);
			memcpy(torn, p, n);
			assert_int_equal(verdict(torn, len),
					 memcmp(torn, p, len) == 0);
			memset(torn, erased[e], n);
			memcpy(torn + n, p + n, len - n);
			assert_int_equal(verdict(torn, len),
					 memcmp(torn, p, len) == 0);
		}
	}
	free(torn);
	free(p);
}

static void
every_bit_flip_is_refused_by_host_and_device(void **state)
{
	unsigned char *p;
	json_t *v;
	size_t i, len, bit;

	(void)state;
	json_array_foreach(json_object_get(vectors, "records"), i, v)
	{
		p = octets(str(v, "cbor"), &len);
		/* of a long one, a third of the bits will do */
		for (bit = 0; bit<len * 8; bit += len> 1000 ? 3 : 1) {
			p[bit / 8] ^= (unsigned char)(1 << bit % 8);
			assert_int_equal(verdict(p, len), 0);
			p[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
		assert_int_equal(verdict(p, len), 1);
		free(p);
	}
}

static void
set_crc(unsigned char *p, size_t len)
{
	uint32_t crc = 0xffffffff;
	size_t i;
	int bit;

	for (i = 0; i + 4 < len; i++) {
		crc ^= p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	crc = ~crc;
	for (i = 0; i < 4; i++)
		p[len - 4 + i] = (unsigned char)(crc >> (24 - 8 * i));
}

/* Past the checksum, every octet value at every place. */
static void
host_and_device_agree_on_every_changed_octet(void **state)
{
	unsigned char *p, was;
	size_t len, i, records = 0, others = 0;
	unsigned v;

	(void)state;
	p = octets(
	    str(json_array_get(json_object_get(vectors, "records"), 0), "cbor"),
	    &len);
	for (i = 0; i + 4 < len; i++) {
		was = p[i];
		for (v = 0; v < 256; v++) {
			p[i] = (unsigned char)v;
			set_crc(p, len);
			if (verdict(p, len))
				records++;
			else
				others++;
		}
		p[i] = was;
	}
	assert_true(records > 32 * 256); /* at least any key */
	assert_true(others > 32 * 256);
	free(p);
}

/* Pieces cut out, put in twice or overwritten, the checksum right. */
static void
host_and_device_agree_on_shuffled_octets(void **state)
{
	unsigned char *p, *q;
	size_t len, n, from, to, piece, round;
	uint32_t rnd = 1;

	(void)state;
	p = octets(
	    str(json_array_get(json_object_get(vectors, "records"), 2), "cbor"),
	    &len);
	for (round = 0; round < 20000; round++) {
		rnd = rnd * 1664525 + 1013904223;
		from = (rnd >> 8) % (len - 4);
		rnd = rnd * 1664525 + 1013904223;
		to = (rnd >> 8) % (len - 4);
		piece = 1 + rnd % 16;
		if (from + piece > len - 4 || to + piece > len - 4)
			continue;
		n = round % 3 == 0   ? len - piece
		    : round % 3 == 1 ? len + piece
				     : len;
		q = malloc(n);
		assert_non_null(q);
		memcpy(q, p, n < len ? n : len);
		if (n < len)
			memcpy(q + from, p + from + piece, len - from - piece);
		else if (n > len)
			memcpy(q + to + piece, p + to, len - to);
		else
			memcpy(q + to, p + from, piece);
		set_crc(q, n);
		(void)verdict(q, n);
		free(q);
	}
	free(p);
}

static void
refuse(const struct record *r)
{
	struct secret out = {0};

	assert_int_equal(record_encode(r, &out), ERR_RECORD);
	assert_int_equal(out.len, 0);
}

static void
what_no_reader_takes_is_never_written(void **state)
{
	struct record good, r;

	(void)state;
	fill(json_array_get(json_object_get(vectors, "records"), 0), &good);
	r = good;
	r.epoch = 0;
	refuse(&r);
	r = good;
	r.npeers = 0;
	refuse(&r);
	r = good;
	r.npeers = RECORD_PEERS_MAX + 1;
	refuse(&r);
	r = good;
	r.peers[1].port = 0;
	refuse(&r);
	r = good;
	strcpy(r.peers[1].audience, "authority");
	refuse(&r);
	r = good;
	r.peers[0].identity[43] = '\0';
	refuse(&r);
	r = good;
	strcpy(r.issuer, "https://a/\"");
	refuse(&r);
	r = good;
	strcpy(r.device_id, "a/b");
	refuse(&r);
	r = good;
	r.peers[0].host[0] = '\0';
	refuse(&r);
}

static void
lengths_out_of_bounds_are_refused_before_anything_is_read(void **state)
{
	unsigned char *p = calloc(1, RECORD_MAX + 1);

	(void)state;
	assert_non_null(p);
	assert_int_equal(verdict(p, RECORD_MAX + 1), 0);
	assert_int_equal(verdict(p, RECORD_MAX), 0);
	assert_int_equal(verdict(p, 4), 0);
	assert_int_equal(verdict(p, 0), 0);
	free(p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_records_are_written_and_read_to_the_octet),
	    cmocka_unit_test(
		every_malformed_vector_is_refused_by_host_and_device),
	    cmocka_unit_test(every_truncation_is_refused_by_host_and_device),
	    cmocka_unit_test(every_torn_write_is_refused_by_host_and_device),
	    cmocka_unit_test(every_bit_flip_is_refused_by_host_and_device),
	    cmocka_unit_test(host_and_device_agree_on_every_changed_octet),
	    cmocka_unit_test(host_and_device_agree_on_shuffled_octets),
	    cmocka_unit_test(what_no_reader_takes_is_never_written),
	    cmocka_unit_test(
		lengths_out_of_bounds_are_refused_before_anything_is_read),
	};

	return cmocka_run_group_tests_name("identity record", tests, load,
					   unload);
}
