/*
 * The sealed record and where secrets come from: one form and no other, and
 * no secret out of a place that others may see.
 */
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/source.h"
#include "lib/wire/sealed.h"

#define ID44 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define GOOD "{\"version\":1,\"issuer\":\"https://id.example\"," \
	"\"device_id\":\"sn-1\",\"epoch\":3,\"peers\":[{\"audience\":" \
	"\"authority\",\"host\":\"id.example\",\"port\":8444,\"identity\":\"" \
	ID44 "\"}],\"key\":\"a.b.c.d.e\"}"

static void
one_form_and_no_other_is_read(void **state)
{
	static const char *const odd[] = {"", "{}", "[]", " " GOOD, GOOD "\n",
	    GOOD "x"};
	struct buf again = {.max = SEALED_TEXT_MAX};
	struct sealed s;
	char cut[sizeof(GOOD)];
	size_t i;

	(void)state;
	assert_int_equal(wire_sealed_decode(GOOD, strlen(GOOD), &s, NULL),
	    ERR_OK);
	assert_string_equal(s.device_id, "sn-1");
	assert_int_equal(s.epoch, 3);
	assert_int_equal(s.npeers, 1);
	assert_int_equal(wire_sealed_encode(&s, &again), ERR_OK);
	assert_string_equal(again.p, GOOD);
	for (i = 0; i < COUNT(odd); i++)
		assert_case(wire_sealed_decode(odd[i], strlen(odd[i]), &s,
		    NULL) == ERR_RECORD, odd[i]);
	for (i = 0; i < strlen(GOOD); i++) {
		assert_int_equal(wire_sealed_decode(GOOD, i, &s, NULL),
		    ERR_RECORD);
		/* a blank where there is none, another order: not ours */
		(void)snprintf(cut, sizeof(cut), "%s", GOOD);
		cut[i] = '\x01';
		assert_int_equal(wire_sealed_decode(cut, strlen(cut), &s,
		    NULL), ERR_RECORD);
	}
	buf_free(&again);
}

static void
a_secret_comes_from_a_private_file_or_a_descriptor(void **state)
{
	char path[] = "/tmp/sourceXXXXXX", where[32];
	struct secret s = {0};
	int fd = mkstemp(path), p[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret\n", 7), 7);
	assert_int_equal(close(fd), 0);
	assert_int_equal(source_read(path, 6, &s), ERR_OK);
	assert_int_equal(s.len, 6);
	assert_memory_equal(s.p, "secret", 6);
	assert_int_equal(source_read(path, 5, &s), ERR_TOO_LARGE);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(source_read(path, 6, &s), ERR_CONFIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(source_read(path, 6, &s), ERR_NOT_FOUND);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "secret", 6), 6);
	assert_int_equal(close(p[1]), 0);
	(void)snprintf(where, sizeof(where), "fd:%d", p[0]);
	assert_int_equal(source_read(where, 6, &s), ERR_OK);
	assert_memory_equal(s.p, "secret", 6);
	/* it was closed: once is all there is */
	assert_int_equal(source_read(where, 6, &s), ERR_IO);
	assert_int_equal(source_read("fd:", 6, &s), ERR_CONFIG);
	assert_int_equal(source_read("fd:-1", 6, &s), ERR_CONFIG);
	secret_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_form_and_no_other_is_read),
	    cmocka_unit_test(
		a_secret_comes_from_a_private_file_or_a_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
