/*
 * The device's side of the serial protocol and its two slots
 * (docs/serial-protocol.md): the golden talk octet for octet, noise on the
 * line, and a loss of power at every octet that is written.
 */
#include "tests/unit/unit.h"

#include <jansson.h>

#include "lib/base/b64url.h"
#include "tests/helpers/serial_device.h"

static json_t *vectors;
static uint8_t record[FEALTY_RECORD_MAX];
static size_t record_len;
static uint8_t root_key[32];

static size_t
unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex);

	assert_int_equal(hex_decode_exact(hex, n, out, n / 2), ERR_OK);
	return n / 2;
}

static const char *
str(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	assert_non_null(s);
	return s;
}

static int
load(void **state)
{
	struct fealty_record r;

	(void)state;
	vectors = json_load_file(VECTORS "/serial-frames.json", 0, NULL);
	if (vectors == NULL)
		return -1;
	record_len = unhex(str(vectors, "record"), record);
	if (fealty_record_read(record, record_len, &r) != FEALTY_OK)
		return -1;
	memcpy(root_key, r.key, sizeof(root_key));
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

/* Frames of the golden talk, from one to before the other, to a device. */
static void
play(struct serial_device *d, size_t from, size_t to)
{
	json_t *talk = json_object_get(vectors, "talk"), *step;
	uint8_t frame[FEALTY_FRAME_MAX], want[FEALTY_FRAME_MAX];
	uint8_t got[FEALTY_FRAME_MAX];
	size_t n, len, i;

	for (i = from; i < to; i++) {
		step = json_array_get(talk, i);
		n = unhex(str(json_object_get(step, "request"), "frame"),
			  frame);
		len = unhex(str(json_object_get(step, "answer"), "frame"),
			    want);
		n = serial_device_hear(d, frame, n, got, sizeof(got));
		assert_int_equal(n, len);
		assert_memory_equal(got, want, len);
		assert_null(memmem(got, n, root_key, 8));
	}
}

static size_t
talk_len(void)
{
	return json_array_size(json_object_get(vectors, "talk"));
}

static void
golden_talk_is_spoken_octet_for_octet(void **state)
{
	static struct serial_device d;

	(void)state;
	serial_device_make(&d);
	assert_true(talk_len() >= 8);
	play(&d, 0, talk_len());
	assert_int_equal(d.s.len, record_len);
	assert_memory_equal(d.s.mem, record, record_len);
	assert_int_equal(d.locks, 1);
}

static void
each_request_again_gets_its_answer_again_and_does_nothing(void **state)
{
	static struct serial_device d;
	unsigned erased, written;
	size_t i, k;

	(void)state;
	serial_device_make(&d);
	for (i = 0; i < talk_len(); i++) {
		play(&d, i, i + 1);
		erased = d.erased;
		written = d.written;
		for (k = 0; k < 3; k++)
			play(&d, i, i + 1);
		assert_int_equal(d.erased, erased);
		assert_int_equal(d.written, written);
		assert_int_equal(d.locks, d.locked);
	}
}

static size_t
request(size_t i, uint8_t frame[FEALTY_FRAME_MAX])
{
	json_t *step = json_array_get(json_object_get(vectors, "talk"), i);

	return unhex(str(json_object_get(step, "request"), "frame"), frame);
}

/* A late frame, from any time before, at any time. */
static void
request_of_before_does_and_says_nothing(void **state)
{
	static struct serial_device d;
	uint8_t frame[FEALTY_FRAME_MAX], out[FEALTY_FRAME_MAX];
	size_t i, k, n;

	(void)state;
	serial_device_make(&d);
	for (i = 0; i < talk_len(); i++) {
		play(&d, i, i + 1);
		for (k = 0; k < i; k++) {
			n = request(k, frame);
			assert_int_equal(serial_device_hear(&d, frame, n, out,
					     sizeof(out)), 0);
		}
	}
	assert_memory_equal(d.s.mem, record, record_len);
}

static void
each_golden_frame_is_written_and_read_so(void **state)
{
	uint8_t payload[FEALTY_PAYLOAD_MAX], want[FEALTY_FRAME_MAX];
	uint8_t out[FEALTY_FRAME_MAX];
	struct fealty_line line = {0};
	struct fealty_frame f, back;
	size_t i, k, n, got, index;
	json_t *o;

	(void)state;
	json_array_foreach(json_object_get(vectors, "frames"), index, o) {
		f.version = (uint8_t)json_integer_value(
		    json_object_get(o, "version"));
		f.type = (uint8_t)json_integer_value(
		    json_object_get(o, "type"));
		f.session = (uint32_t)json_integer_value(
		    json_object_get(o, "session"));
		f.seq = (uint16_t)json_integer_value(
		    json_object_get(o, "seq"));
		f.len = (uint16_t)unhex(str(o, "payload"), payload);
		f.payload = payload;
		n = unhex(str(o, "frame"), want);
		assert_case(fealty_frame_write(&f, out) == n, str(o, "name"));
		assert_memory_equal(out, want, n);
		for (i = 0, k = 0, got = 0; i < n; i++) {
			got += (size_t)fealty_line_take(&line, want[i], &back);
			k = got > 0 && k == 0 ? i + 1 : k;
		}
		assert_int_equal(got, 1);
		assert_int_equal(k, n);
		assert_int_equal(back.version, f.version);
		assert_int_equal(back.type, f.type);
		assert_int_equal(back.session, f.session);
		assert_int_equal(back.seq, f.seq);
		assert_int_equal(back.len, f.len);
		assert_memory_equal(back.payload, payload, f.len);
	}
	assert_true(index > 20);
	f.len = FEALTY_PAYLOAD_MAX + 1;
	assert_int_equal(fealty_frame_write(&f, out), 0);
}

static void
frame_with_any_bit_changed_or_octet_lost_is_none(void **state)
{
	uint8_t frame[FEALTY_FRAME_MAX], bad[FEALTY_FRAME_MAX];
	struct fealty_line line = {0};
	struct fealty_frame f;
	size_t n, i, k, bit;
	int frames;

	(void)state;
	n = request(2, frame);
	assert_true(n > 240);
	for (i = 0; i < n; i++) {
		for (bit = 0; bit < 9; bit++) {
			memcpy(bad, frame, n);
			if (bit < 8)
				bad[i] ^= (uint8_t)(1 << bit);
			frames = 0;
			for (k = 0; k < n; k++)
				if (bit < 8 || k != i)
					frames += fealty_line_take(&line,
					    bad[k], &f);
			frames += fealty_line_take(&line, 0, &f);
			/* the first and the last 00 may be spared */
			if (i == 0 || i == n - 1)
				continue;
			assert_int_equal(frames, 0);
		}
	}
}

static void
after_any_noise_the_next_frame_is_heard(void **state)
{
	static struct serial_device d;
	uint8_t frame[FEALTY_FRAME_MAX], out[2 * FEALTY_FRAME_MAX], octet;
	size_t n, i, k;
	uint32_t x = 1;

	(void)state;
	serial_device_make(&d);
	n = request(0, frame);
	for (i = 0; i < 700; i++) {
		for (k = 0; k < i; k++) {
			x = x * 1103515245 + 12345;
			octet = (uint8_t)(x >> 24);
			assert_int_equal(serial_device_hear(&d, &octet, 1,
					     out, sizeof(out)), 0);
		}
		assert_true(serial_device_hear(&d, frame, n, out,
				sizeof(out)) > 0);
	}
}

static uint32_t session;

/* Sends one request; number 0 begins a session. The status, or -1: none. */
static int
ask(struct serial_device *d, uint16_t seq, uint8_t type, const void *p,
    size_t len)
{
	struct fealty_frame q = {1, type, 0, seq, (uint16_t)len, p}, a;
	uint8_t frame[FEALTY_FRAME_MAX], out[FEALTY_FRAME_MAX];
	struct fealty_line line = {0};
	size_t i, n;

	q.session = seq == 0 ? ++session : session;
	n = fealty_frame_write(&q, frame);
	n = serial_device_hear(d, frame, n, out, sizeof(out));
	for (i = 0; i < n; i++) {
		if (!fealty_line_take(&line, out[i], &a))
			continue;
		assert_int_equal(a.type, type | FEALTY_S_ANSWER);
		assert_int_equal(a.seq, seq);
		return a.payload[0];
	}
	return -1;
}

static void
request_out_of_place_or_shape_is_refused(void **state)
{
	static const uint8_t zeros[256];
	static const struct {
		uint8_t type;
		size_t len;
		int status;
	} rows[] = {
	    {FEALTY_S_HELLO, 1, FEALTY_S_BAD},
	    {FEALTY_S_BEGIN, 0, FEALTY_S_BAD},
	    {FEALTY_S_BEGIN, 6, FEALTY_S_BAD}, /* a record of no octets */
	    {FEALTY_S_BEGIN, 7, FEALTY_S_BAD},
	    {FEALTY_S_WRITE, 2, FEALTY_S_BAD},
	    {FEALTY_S_WRITE, 243, FEALTY_S_BAD},
	    {FEALTY_S_WRITE, 3, FEALTY_S_ORDER},
	    {FEALTY_S_COMMIT, 0, FEALTY_S_ORDER},
	    {FEALTY_S_COMMIT, 1, FEALTY_S_BAD},
	    {FEALTY_S_PROVE, 31, FEALTY_S_BAD},
	    {FEALTY_S_PROVE, 32, FEALTY_S_EMPTY},
	    {FEALTY_S_LOCK, 0, FEALTY_S_EMPTY},
	    {7, 0, FEALTY_S_UNSUPPORTED},
	    {FEALTY_S_OWN, 0, FEALTY_S_UNSUPPORTED},
	    {0x7f, 256, FEALTY_S_UNSUPPORTED},
	    {0, 0, -1},
	};
	static struct serial_device d;
	uint16_t seq = 0;
	size_t i;

	(void)state;
	serial_device_make(&d);
	assert_int_equal(ask(&d, 0, FEALTY_S_COMMIT, "", 0),
			 FEALTY_S_SESSION);
	assert_int_equal(ask(&d, 0, FEALTY_S_HELLO, "", 0), FEALTY_S_OK);
	for (i = 0; i < COUNT(rows); i++) {
		int is = ask(&d, ++seq, rows[i].type, zeros, rows[i].len);

		if (is != rows[i].status)
			fail_msg("type %u, %zu octets: %d", rows[i].type,
				 rows[i].len, is);
	}
	assert_int_equal(d.erased, 0);
	assert_int_equal(d.written, 0);
}

/* The chunks must come without a gap, and be the record that was announced. */
static void
other_octets_than_announced_are_never_taken(void **state)
{
	static const uint8_t begin[6] = {0, 250, 1, 2, 3, 4};
	static struct serial_device d;
	uint8_t q[242] = {0};

	(void)state;
	serial_device_make(&d);
	play(&d, 0, 5);
	assert_int_equal(ask(&d, 0, FEALTY_S_HELLO, "", 0), FEALTY_S_OK);
	assert_int_equal(ask(&d, 1, FEALTY_S_BEGIN, begin, 6), FEALTY_S_OK);
	assert_int_equal(ask(&d, 2, FEALTY_S_WRITE, q, 12), FEALTY_S_ORDER);
	assert_int_equal(ask(&d, 3, FEALTY_S_WRITE, q, 242), FEALTY_S_OK);
	assert_int_equal(ask(&d, 4, FEALTY_S_WRITE, q, 242), FEALTY_S_ORDER);
	q[1] = 240;
	assert_int_equal(ask(&d, 5, FEALTY_S_COMMIT, "", 0), FEALTY_S_ORDER);
	assert_int_equal(ask(&d, 6, FEALTY_S_WRITE, q, 13), FEALTY_S_ORDER);
	assert_int_equal(ask(&d, 7, FEALTY_S_WRITE, q, 12), FEALTY_S_OK);
	assert_int_equal(ask(&d, 8, FEALTY_S_COMMIT, "", 0),
			 FEALTY_S_RECORD);
	assert_int_equal(ask(&d, 9, FEALTY_S_COMMIT, "", 0), FEALTY_S_ORDER);
	assert_int_equal(d.s.len, record_len);
	assert_memory_equal(d.s.mem, record, record_len);
}

static void
locked_device_takes_nothing_and_still_proves(void **state)
{
	static const uint8_t begin[6] = {0, 1, 0, 0, 0, 0}, challenge[32];
	static struct serial_device d;

	(void)state;
	serial_device_make(&d);
	play(&d, 0, 5);
	assert_int_equal(ask(&d, 0, FEALTY_S_HELLO, "", 0), FEALTY_S_OK);
	assert_int_equal(ask(&d, 1, FEALTY_S_LOCK, "sn-another", 10),
			 FEALTY_S_OTHER);
	assert_int_equal(d.locked, 0);
	assert_int_equal(ask(&d, 2, FEALTY_S_LOCK, d.s.record.device_id.p,
			     d.s.record.device_id.len), FEALTY_S_OK);
	serial_device_start(&d);
	assert_int_equal(ask(&d, 0, FEALTY_S_HELLO, "", 0), FEALTY_S_OK);
	assert_int_equal(ask(&d, 1, FEALTY_S_BEGIN, begin, 6),
			 FEALTY_S_LOCKED);
	assert_int_equal(ask(&d, 2, FEALTY_S_PROVE, challenge, 32),
			 FEALTY_S_OK);
	assert_int_equal(ask(&d, 3, FEALTY_S_LOCK, d.s.record.device_id.p,
			     d.s.record.device_id.len), FEALTY_S_OK);
	assert_int_equal(d.locks, 1);
}

static void
firmware_that_cannot_be_locked_says_so(void **state)
{
	static struct serial_device d;

	(void)state;
	serial_device_make(&d);
	play(&d, 0, 5);
	d.conf.lock = NULL;
	d.conf.locked = NULL;
	assert_int_equal(ask(&d, 0, FEALTY_S_HELLO, "", 0), FEALTY_S_OK);
	assert_int_equal(ask(&d, 1, FEALTY_S_LOCK, d.s.record.device_id.p,
			     d.s.record.device_id.len), FEALTY_S_UNSUPPORTED);
}

static uint32_t
crc_of(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;
	int bit;

	for (; len > 0; len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
	}
	return ~crc;
}

/* A record that differs from the golden one in its epoch. */
static size_t
newer_record(uint8_t out[FEALTY_RECORD_MAX])
{
	struct fealty_record r;
	uint32_t crc;
	size_t i;

	memcpy(out, record, record_len);
	assert_int_equal(fealty_record_read(record, record_len, &r),
			 FEALTY_OK);
	/* the epoch's last octet; 05 a2 01 04 20 58 20 are before the key */
	i = (size_t)(r.key - record) - 8;
	assert_int_equal(out[i + 1], 0x05);
	out[i] ^= 1;
	crc = crc_of(out, record_len - 4);
	for (i = 0; i < 4; i++)
		out[record_len - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
	assert_int_equal(fealty_record_read(out, record_len, &r), FEALTY_OK);
	return record_len;
}

/* The whole way of a new record; 0 for success. */
static int
put_record(struct serial_device *d, const uint8_t *p, size_t len)
{
	uint32_t crc = crc_of(p, len);
	uint8_t q[242] = {(uint8_t)(len >> 8), (uint8_t)len,
			  (uint8_t)(crc >> 24), (uint8_t)(crc >> 16),
			  (uint8_t)(crc >> 8), (uint8_t)crc};
	uint16_t seq = 0;
	size_t at, n;

	if (ask(d, seq++, FEALTY_S_HELLO, "", 0) != 0 ||
	    ask(d, seq++, FEALTY_S_BEGIN, q, 6) != 0)
		return -1;
	for (at = 0; at < len; at += n) {
		n = len - at < 240 ? len - at : 240;
		q[0] = (uint8_t)(at >> 8);
		q[1] = (uint8_t)at;
		memcpy(q + 2, p + at, n);
		if (ask(d, seq++, FEALTY_S_WRITE, q, n + 2) != 0)
			return -1;
	}
	return ask(d, seq, FEALTY_S_COMMIT, "", 0);
}

static void
medium_that_forgets_is_noticed(void **state)
{
	static struct serial_device d;

	(void)state;
	serial_device_make(&d);
	d.forgetful = 1;
	assert_int_equal(put_record(&d, record, record_len),
			 FEALTY_S_RECORD);
	assert_int_equal(d.s.len, 0);
}

static int
holds(const struct serial_device *d, const uint8_t *p, size_t len)
{
	return d->s.len == len && memcmp(d->s.mem, p, len) == 0;
}

/* With and without an old record; what comes after works. */
static void
power_lost_at_any_octet_leaves_the_old_record_or_the_new(void **state)
{
	static struct serial_device before, d;
	uint8_t newer[FEALTY_RECORD_MAX];
	size_t len = newer_record(newer);
	long cut;
	int old, done, seen_old, seen_new;

	(void)state;
	for (old = 0; old < 2; old++) {
		serial_device_make(&before);
		if (old)
			assert_int_equal(put_record(&before, record,
					     record_len), 0);
		seen_old = seen_new = 0;
		for (cut = 0, done = 0; !done; cut++) {
			serial_device_make(&d);
			memcpy(d.slot, before.slot, sizeof(d.slot));
			serial_device_start(&d);
			d.power = cut;
			done = put_record(&d, newer, len) == 0;
			d.power = -1;
			serial_device_start(&d);
			if (holds(&d, newer, len))
				seen_new++;
			else if (old ? holds(&d, record, record_len)
				     : d.s.len == 0)
				seen_old++;
			else
				fail_msg("power lost after %ld octets", cut);
			assert_int_equal(put_record(&d, newer, len), 0);
			assert_true(holds(&d, newer, len));
		}
		assert_true(seen_new > 0);
		assert_true(seen_old > (int)record_len);
	}
}

static void
key_that_was_replaced_lies_nowhere(void **state)
{
	static struct serial_device d;
	uint8_t other[FEALTY_RECORD_MAX];
	json_t *records = json_load_file(VECTORS "/identity-record.json", 0,
	    NULL);
	size_t len;

	(void)state;
	assert_non_null(records);
	serial_device_make(&d);
	assert_int_equal(put_record(&d, record, record_len), 0);
	assert_non_null(memmem(&d, sizeof(d), root_key, 32));
	len = unhex(str(json_array_get(json_object_get(records, "records"),
		0), "cbor"), other);
	assert_int_equal(put_record(&d, other, len), 0);
	assert_null(memmem(d.slot, sizeof(d.slot), root_key, 8));
	assert_null(memmem(&d, sizeof(d), root_key, 8));
	json_decref(records);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_talk_is_spoken_octet_for_octet),
	    cmocka_unit_test(
		each_request_again_gets_its_answer_again_and_does_nothing),
	    cmocka_unit_test(request_of_before_does_and_says_nothing),
	    cmocka_unit_test(each_golden_frame_is_written_and_read_so),
	    cmocka_unit_test(frame_with_any_bit_changed_or_octet_lost_is_none),
	    cmocka_unit_test(after_any_noise_the_next_frame_is_heard),
	    cmocka_unit_test(request_out_of_place_or_shape_is_refused),
	    cmocka_unit_test(other_octets_than_announced_are_never_taken),
	    cmocka_unit_test(locked_device_takes_nothing_and_still_proves),
	    cmocka_unit_test(firmware_that_cannot_be_locked_says_so),
	    cmocka_unit_test(medium_that_forgets_is_noticed),
	    cmocka_unit_test(
		power_lost_at_any_octet_leaves_the_old_record_or_the_new),
	    cmocka_unit_test(key_that_was_replaced_lies_nowhere),
	};

	return cmocka_run_group_tests_name("serial", tests, load, unload);
}
