/*
 * lib/base: what comes in from outside is taken strictly or not at all, and
 * what is secret is wiped.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "lib/base/b64url.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/parse.h"
#include "lib/base/rwlock.h"
#include "lib/base/secret.h"

static void
every_error_has_status_code_and_text(void **state)
{
	int i;

	for (i = 0; i < ERR_COUNT; i++) {
		enum err e = (enum err)i;
		int status = err_status(e);

		assert_case(status >= 200 && status < 600, err_name(e));
		assert_case(err_code(e)[0] != '\0', err_name(e));
		assert_case(err_text(e)[0] != '\0', err_name(e));
		assert_case((err_retryable(e) == 1) ==
				(status == 503 || status == 429),
			    err_name(e));
		assert_case(strcmp(err_code(err_from_code(err_code(e))),
				   err_code(e)) == 0,
			    err_name(e));
	}
	assert_int_equal(err_status((enum err)ERR_COUNT), 500);
	assert_int_equal(err_status((enum err) - 1), 500);
	assert_int_equal(err_from_code("no such code"), ERR_INTERNAL);
	assert_int_equal(err_from_code("internal"), ERR_INTERNAL);
	assert_int_equal(err_from_code(NULL), ERR_INTERNAL);
}

static void
error_codes_are_unique_but_for_internal(void **state)
{
	int i, j;

	for (i = 0; i < ERR_COUNT; i++)
		for (j = 0; j < i; j++)
			assert_case(strcmp(err_code((enum err)i), "internal") ==
					    0 ||
					strcmp(err_code((enum err)i),
					       err_code((enum err)j)) != 0,
				    err_code((enum err)i));
}

static void
first_detail_wins(void **state)
{
	struct detail d = {0};

	detail_set(NULL, "%d", 1);
	detail_set(&d, "first %d", 1);
	detail_set(&d, "second");
	assert_string_equal(d.text, "first 1");
}

static void
base64url_is_what_rfc_4648_says(void **state)
{
	static const struct {
		const char *plain, *text;
	} v[] = {{"", ""},
		 {"f", "Zg"},
		 {"fo", "Zm8"},
		 {"foo", "Zm9v"},
		 {"foob", "Zm9vYg"},
		 {"fooba", "Zm9vYmE"},
		 {"foobar", "Zm9vYmFy"},
		 {"\xfb\xff\xbe", "-_--"},
		 {"\xff\xff\xff", "____"}};
	char text[16], plain[16];
	size_t i, n;

	for (i = 0; i < COUNT(v); i++) {
		n = strlen(v[i].plain);
		b64url_encode(v[i].plain, n, text);
		assert_string_equal(text, v[i].text);
		assert_int_equal(strlen(text), B64URL_LEN(n));
		n = sizeof(plain);
		assert_int_equal(b64url_decode(text, strlen(text), plain, &n),
				 ERR_OK);
		assert_int_equal(n, strlen(v[i].plain));
		assert_memory_equal(plain, v[i].plain, n);
	}
}

static void
every_octet_survives_base64url_and_hex(void **state)
{
	unsigned char in[256], out[256];
	char text[513];
	size_t i, n;

	for (i = 0; i < 256; i++)
		in[i] = (unsigned char)(i * 167 + 13);
	for (i = 0; i <= 256; i++) {
		b64url_encode(in, i, text);
		n = sizeof(out);
		assert_int_equal(b64url_decode(text, strlen(text), out, &n),
				 ERR_OK);
		assert_int_equal(n, i);
		assert_memory_equal(in, out, i);
		hex_encode(in, i, text);
		assert_int_equal(hex_decode_exact(text, 2 * i, out, i), ERR_OK);
		assert_memory_equal(in, out, i);
	}
}

static void
malformed_base64url_is_refused(void **state)
{
	static const char *const bad[] = {
	    "A",     "AAAAA", "Zg==",	"Zg=",	      "Zm+v",
	    "Zm/v",  "Zm9 v", "Zm9v\n", " Zm9v",      "Zh",
	    "Zm9",   "Zm.v",  "Zm,v",	"Zm\xc3\xa4", "\xff\xff\xff\xff",
	    "Zm9vZ", "@@@@",  "[[[[",	"````",	      "{{{{",
	    "////",  "::::",  "=",	"====",	      "Zm9vYm=="};
	unsigned char out[16];
	size_t i, n;

	for (i = 0; i < COUNT(bad); i++) {
		n = sizeof(out);
		assert_case(b64url_decode(bad[i], strlen(bad[i]), out, &n) ==
				ERR_REQUEST,
			    bad[i]);
		assert_int_equal(n, sizeof(out));
	}
	n = sizeof(out);
	assert_int_equal(b64url_decode("Zm\0v", 4, out, &n), ERR_REQUEST);
	n = 2;
	assert_int_equal(b64url_decode("Zm9v", 4, out, &n), ERR_REQUEST);
	assert_int_equal(b64url_decode_exact("Zm9v", 4, out, 2), ERR_REQUEST);
	assert_int_equal(b64url_decode_exact("Zm9v", 4, out, 4), ERR_REQUEST);
}

static void
exactly_the_64_characters_decode(void **state)
{
	unsigned char out[4];
	char text[5] = "AAAA";
	int c, good = 0;
	size_t n;

	for (c = 0; c < 256; c++) {
		text[1] = (char)c;
		n = sizeof(out);
		good += b64url_decode(text, 4, out, &n) == ERR_OK;
	}
	assert_int_equal(good, 64);
}

static void
malformed_hex_is_refused(void **state)
{
	static const char *const bad[] = {
	    "0",  "000", "0g", "g0", "AB",	 "aB",	"0x",	" 0", "0 ",
	    "-1", "/0",	 ":0", "`0", "\xff\xff", "0\n", "0000", ""};
	unsigned char out[2];
	size_t i;

	for (i = 0; i < COUNT(bad); i++)
		assert_case(hex_decode_exact(bad[i], strlen(bad[i]), out, 1) ==
				ERR_REQUEST,
			    bad[i]);
}

static void
malformed_numbers_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  " 1",
					  "1 ",
					  "+1",
					  "-1",
					  "01",
					  "00",
					  "0x10",
					  "1e3",
					  "1.0",
					  "a",
					  "1a",
					  "101",
					  "1000",
					  "18446744073709551616",
					  "99999999999999999999999",
					  "\n1",
					  "1\n",
					  "\xd9\xa1"};
	uint64_t v = 7;
	size_t i;

	for (i = 0; i < COUNT(bad); i++)
		assert_case(parse_u64(bad[i], 100, &v) == ERR_REQUEST, bad[i]);
	assert_int_equal(parse_u64(NULL, 100, &v), ERR_REQUEST);
	assert_int_equal(parse_u64("18446744073709551616", UINT64_MAX, &v),
			 ERR_REQUEST);
	assert_int_equal(v, 7);
	assert_int_equal(parse_u64("100", 100, &v), ERR_OK);
	assert_int_equal(v, 100);
	assert_int_equal(parse_u64("0", 0, &v), ERR_OK);
	assert_int_equal(parse_u64("18446744073709551615", UINT64_MAX, &v),
			 ERR_OK);
	assert_true(v == UINT64_MAX);
}

static void
durations_have_units_and_bounds(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"500ms", 500},  {"5s", 5000},    {"5", 5000},
		    {"10m", 600000}, {"2h", 7200000}, {"0", 0}};
	static const char *const bad[] = {
	    "",	    "s",  "ms",	  "-1s", "1d",	      "1 s",
	    "1.5s", "5S", "5mss", "3h",	 "7200001ms", "18446744073709551615h",
	    "01s",  "1s "};
	uint64_t v = 1;
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		assert_case(parse_duration_ms(good[i].text, 7200000, &v) ==
				ERR_OK,
			    good[i].text);
		assert_int_equal(v, good[i].ms);
	}
	for (i = 0; i < COUNT(bad); i++)
		assert_case(parse_duration_ms(bad[i], 7200000, &v) ==
				ERR_REQUEST,
			    bad[i]);
	assert_int_equal(
	    parse_duration_ms("18446744073709551615h", UINT64_MAX, &v),
	    ERR_REQUEST);
}

static void
times_go_both_ways_and_nothing_else_is_one(void **state)
{
	static const struct {
		const char *text;
		int64_t t;
	} good[] = {{"1970-01-01T00:00:00Z", 0},
		    {"2026-11-22T17:34:37Z", INT64_C(1795368877)},
		    {"2024-02-29T23:59:59Z", INT64_C(1709251199)},
		    {"9999-12-31T23:59:59Z", INT64_C(253402300799)}};
	static const char *const bad[] = {"",
					  "2026-11-22",
					  "2026-02-30T00:00:00Z",
					  "2025-02-29T00:00:00Z",
					  "2026-13-01T00:00:00Z",
					  "2026-00-01T00:00:00Z",
					  "2026-01-00T00:00:00Z",
					  "2026-01-01T24:00:00Z",
					  "2026-01-01T00:60:00Z",
					  "2026-01-01T00:00:60Z",
					  "2026-01-01 00:00:00Z",
					  "2026-01-01T00:00:00z",
					  "2026-01-01T00:00:00+",
					  "2026-01-01T00:00:0aZ",
					  "-026-01-01T00:00:00Z",
					  "2026-01-01T00:00:00Z ",
					  "2026/01/01T00:00:00Z",
					  "2026-01-01T00:00:00.0Z"};
	char text[TIME_TEXT];
	int64_t t = 5;
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		assert_case(parse_time(good[i].text, &t) == ERR_OK,
			    good[i].text);
		assert_true(t == good[i].t);
		format_time(t, text);
		assert_string_equal(text, good[i].text);
	}
	t = 5;
	for (i = 0; i < COUNT(bad); i++)
		assert_case(parse_time(bad[i], &t) == ERR_REQUEST, bad[i]);
	assert_true(t == 5);
	format_time(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	format_time(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00Z");
}

static void
copy_str_never_cuts(void **state)
{
	char out[4] = "xyz";

	assert_int_equal(copy_str(out, sizeof(out), "abcd"), ERR_TOO_LARGE);
	assert_string_equal(out, "xyz");
	assert_int_equal(copy_str(out, sizeof(out), "abc"), ERR_OK);
	assert_string_equal(out, "abc");
	assert_int_equal(copy_str(out, 0, ""), ERR_TOO_LARGE);
}

static void
buffer_stops_at_its_maximum_unchanged(void **state)
{
	struct buf b = {.max = 10}, none = {0};

	assert_int_equal(buf_str(&none, "a"), ERR_TOO_LARGE);
	assert_int_equal(buf_str(&b, "12345"), ERR_OK);
	assert_int_equal(buf_fmt(&b, "%d", 678), ERR_OK);
	assert_int_equal(buf_str(&b, "abc"), ERR_TOO_LARGE);
	assert_int_equal(buf_fmt(&b, "%s", "abc"), ERR_TOO_LARGE);
	assert_int_equal(buf_add(&b, "a", SIZE_MAX), ERR_TOO_LARGE);
	assert_string_equal(b.p, "12345678");
	assert_int_equal(buf_add(&b, "\0z", 2), ERR_OK);
	assert_int_equal(b.len, 10);
	assert_int_equal(b.p[10], '\0');
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.p[0], '\0');
	assert_int_equal(b.p[4], '\0');
	buf_free(&b);
	buf_free(&b);
	buf_free(&none);
	buf_free(NULL);
}

static void
buffer_grows_to_what_was_added(void **state)
{
	struct buf b = {.max = 100000};
	int i;

	for (i = 0; i < 10000; i++)
		assert_int_equal(buf_fmt(&b, "%04d", i), ERR_OK);
	assert_int_equal(b.len, 40000);
	assert_memory_equal(b.p + 4 * 1234, "12341235", 8);
	buf_free(&b);
}

static void
secrets_compare_whole_and_wipe(void **state)
{
	struct key32 k = {{1, 2, 3}}, zero = {{0}};
	unsigned char a[32] = {0}, b[32] = {0};
	int i;

	for (i = 0; i < 256; i++) {
		a[i % 32] ^= 1;
		assert_int_equal(ct_equal(a, b, 32), 0);
		a[i % 32] ^= 1;
		b[i % 32] ^= 0x80;
		assert_int_equal(ct_equal(a, b, 32), 0);
		b[i % 32] ^= 0x80;
	}
	assert_int_equal(ct_equal(a, b, 32), 1);
	assert_int_equal(ct_equal(a, b, 0), 1);
	key32_wipe(&k);
	assert_memory_equal(&k, &zero, sizeof(k));
	wipe(NULL, 0);
}

static void
secret_owns_a_copy_of_bounded_size(void **state)
{
	struct secret s = {0};

	assert_int_equal(secret_set(&s, "abcdef", 6), ERR_OK);
	assert_int_equal(secret_set(&s, s.p + 2, 3), ERR_OK);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.p, "cde", 3);
	assert_int_equal(secret_resize(&s, (1 << 20) + 1), ERR_TOO_LARGE);
	assert_memory_equal(s.p, "cde", 3);
	assert_int_equal(secret_resize(&s, 4), ERR_OK);
	assert_memory_equal(s.p, "\0\0\0\0", 4);
	assert_int_equal(secret_set(&s, NULL, 0), ERR_OK);
	assert_int_equal(s.len, 0);
	secret_free(&s);
	secret_free(&s);
	secret_free(NULL);
}

static void
clock_of_the_machine_goes_forward(void **state)
{
	int64_t a = clock_mono_ms(&clock_system);

	assert_true(clock_mono_ms(&clock_system) >= a);
	assert_true(clock_wall_s(&clock_system) > INT64_C(1600000000));
}

/* ---- a writer among readers ---- */
static pthread_rwlock_t crowded;
static atomic_int written;

static void *
reader_main(void *arg)
{
	const struct timespec ts = {0, 3000000};

	while (!atomic_load(&written)) {
		pthread_rwlock_rdlock(&crowded);
		(void)nanosleep(&ts, NULL);
		pthread_rwlock_unlock(&crowded);
	}
	return arg;
}

/* Threat: whoever asks all the time keeps a revocation from taking place. */
static void
a_writer_does_not_wait_for_readers_that_come_later(void **state)
{
	struct timespec until;
	pthread_t t[8];
	int i, e;

	assert_int_equal(rwlock_init(&crowded), ERR_OK);
	for (i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader_main,
		    NULL), 0);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	e = pthread_rwlock_timedwrlock(&crowded, &until);
	atomic_store(&written, 1);
	if (e == 0)
		pthread_rwlock_unlock(&crowded);
	for (i = 0; i < 8; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(e, 0);
	pthread_rwlock_destroy(&crowded);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_error_has_status_code_and_text),
	    cmocka_unit_test(error_codes_are_unique_but_for_internal),
	    cmocka_unit_test(first_detail_wins),
	    cmocka_unit_test(base64url_is_what_rfc_4648_says),
	    cmocka_unit_test(every_octet_survives_base64url_and_hex),
	    cmocka_unit_test(malformed_base64url_is_refused),
	    cmocka_unit_test(exactly_the_64_characters_decode),
	    cmocka_unit_test(malformed_hex_is_refused),
	    cmocka_unit_test(malformed_numbers_are_refused),
	    cmocka_unit_test(durations_have_units_and_bounds),
	    cmocka_unit_test(times_go_both_ways_and_nothing_else_is_one),
	    cmocka_unit_test(copy_str_never_cuts),
	    cmocka_unit_test(buffer_stops_at_its_maximum_unchanged),
	    cmocka_unit_test(buffer_grows_to_what_was_added),
	    cmocka_unit_test(secrets_compare_whole_and_wipe),
	    cmocka_unit_test(secret_owns_a_copy_of_bounded_size),
	    cmocka_unit_test(clock_of_the_machine_goes_forward),
	    cmocka_unit_test(
		a_writer_does_not_wait_for_readers_that_come_later),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
