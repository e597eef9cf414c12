/*
 * A finished unit is proven again at the station, in real processes: what is
 * right passes as often as one likes, what is wrong is refused with its code,
 * and neither changes device, record or journal.
 */
#include "tests/scenario/world.h"

#include <sys/stat.h>
#include <fealty/device.h>

#define LIMIT 60
#define MORE_MAX 8

static struct world w;
static char place[ROOM + 8]; /* the target with the records */

static int
set_up(void **state)
{
	char path[ROOM];

	(void)state;
	world_open(&w, NULL);
	world_order(&w, 50);
	(void)snprintf(place, sizeof(place), "file:%s",
	    world_file(&w, "burned", path));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

/* more: the target, and further options. */
static int
verify(const char *serial, const char *const *more)
{
	char url[ROOM], cred[ROOM], journal[ROOM];
	const char *argv[13 + MORE_MAX] = {
	    "build:provision-tool/provision-tool", "verify", "--order",
	    "first", "--serial", serial, "--journal",
	    world_file(&w, "journal", journal), "--url", world_url(&w, url),
	    "--credential-file", world_file(&w, "station", cred), "--target"};
	size_t n = 13;

	for (; *more != NULL && n < COUNT(argv) - 1; more++)
		argv[n++] = *more;
	return process_run(argv, NULL, LIMIT, &w.r);
}
#define VERIFY(serial, ...) \
	verify(serial, (const char *const[]){__VA_ARGS__, NULL})

/* The device as the authority has it, and its record and journal. */
static size_t
as_it_is(const char *serial, char *out, size_t size)
{
	char path[ROOM], record[ROOM];
	const char *const files[] = {record, "journal/first.jsonl"};
	size_t n, i;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/v1/devices/%s", serial);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	n = (size_t)snprintf(out, size, "%s", w.a.body);
	(void)snprintf(record, sizeof(record), "burned/%s.cbor", serial);
	for (i = 0; i < COUNT(files); i++) {
		len = file_text(world_file(&w, files[i], path), out + n,
		    size - n);
		assert_true(len > 0);
		n += (size_t)len;
	}
	return n;
}

static void
a_finished_unit_passes_as_often_as_one_likes(void **state)
{
	static char before[65536], after[65536];
	size_t n;

	(void)state;
	world_burn(&w, "SN0011");
	n = as_it_is("SN0011", before, sizeof(before));
	if (VERIFY("SN0011", place) != 0)
		fail_msg("%s", w.r.err);
	assert_non_null(strstr(w.r.out,
	    "verified SN0011 (serial SN0011, epoch 1) in file:"));
	assert_non_null(strstr(w.r.out, "active, proof medium"));
	assert_int_equal(VERIFY("SN0011", place, "--json"), 0);
	assert_non_null(strstr(w.r.out, "\"result\":\"done\""));
	assert_non_null(strstr(w.r.out, "\"verified\":\"medium\""));
	assert_int_equal(as_it_is("SN0011", after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
	CTL(&w, "audit", "--limit", "1000");
	assert_non_null(strstr(w.r.out, "device.verify"));
}

/* The record of one in the file of another; octets changed in it. */
static void
spoil(const char *from, const char *to, size_t at)
{
	char path[ROOM], name[ROOM], octets[FEALTY_RECORD_MAX + 1];
	ssize_t n;
	FILE *f;

	(void)snprintf(name, sizeof(name), "burned/%s.cbor", from);
	n = file_text(world_file(&w, name, path), octets, sizeof(octets));
	assert_true(n > 0 && at < (size_t)n);
	octets[at] ^= at > 0 ? 1 : 0;
	(void)snprintf(name, sizeof(name), "burned/%s.cbor", to);
	f = fopen(world_file(&w, name, path), "we");
	assert_non_null(f);
	assert_int_equal(fwrite(octets, 1, (size_t)n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void
assert_refused(const char *step, const char *why)
{
	assert_int_equal(w.r.out[0], '\0');
	assert_non_null(strstr(w.r.err, step));
	assert_non_null(strstr(w.r.err, why));
	/* one line that names the unit */
	assert_non_null(strstr(w.r.err, "provision-tool: unit "));
	assert_ptr_equal(strchr(w.r.err, '\n'),
	    w.r.err + strlen(w.r.err) - 1);
}

static void
a_record_that_is_torn_or_another_s_is_refused(void **state)
{
	(void)state;
	world_burn(&w, "SN0021");
	world_burn(&w, "SN0022");
	world_burn(&w, "SN0023");
	spoil("SN0021", "SN0022", 0);
	assert_int_equal(VERIFY("SN0022", place), 1);
	assert_refused(": prove: ", "another identity");
	spoil("SN0023", "SN0023", 40);
	assert_int_equal(VERIFY("SN0023", place), 1);
	assert_refused("unit SN0023: ", "(record_malformed)");
	assert_int_equal(VERIFY("SN0021", place), 0);
}

static void
a_device_that_answers_wrongly_is_refused_and_left_as_it_was(void **state)
{
	static char before[65536], after[65536];
	size_t n;

	(void)state;
	world_burn(&w, "SN0031");
	n = as_it_is("SN0031", before, sizeof(before));
	assert_int_equal(VERIFY("SN0031",
	    "exec:false,prove=printf 00%062d 7"), 1);
	assert_refused(": verify: ", "(proof_wrong)");
	assert_int_equal(VERIFY("SN0031",
	    "exec:false,prove=printf 00%062d 7", "--json"), 1);
	assert_non_null(strstr(w.r.out, "\"code\":\"proof_wrong\""));
	assert_int_equal(as_it_is("SN0031", after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
	assert_int_equal(VERIFY("SN0031", place), 0);
}

static void
what_cannot_be_verified_says_why(void **state)
{
	(void)state;
	assert_int_equal(VERIFY("SN0041", place), 1);
	assert_refused(": journal: ", "--device-id");
	world_burn(&w, "SN0041");
	assert_int_equal(VERIFY("SN0041", "exec:true"), 2);
	assert_non_null(strstr(w.r.err, "prove="));
	assert_int_equal(VERIFY("SN0041", "nowhere:x"), 2);
	assert_int_equal(VERIFY("SN0041", place, "--device-id", "x/y"), 2);
	/* of a journal elsewhere */
	assert_int_equal(VERIFY("SN0041", place, "--device-id", "SN0041",
	    "--journal", "/nowhere"), 0);
	assert_int_equal(VERIFY("SN0041", place, "--url",
	    "http://127.0.0.1:1"), 3);
	CTL(&w, "device", "suspend", "SN0041");
	assert_int_equal(VERIFY("SN0041", place), 1);
	assert_refused(": challenge: ", "(device_suspended)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_finished_unit_passes_as_often_as_one_likes),
	    cmocka_unit_test(a_record_that_is_torn_or_another_s_is_refused),
	    cmocka_unit_test(
		a_device_that_answers_wrongly_is_refused_and_left_as_it_was),
	    cmocka_unit_test(what_cannot_be_verified_says_why),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
