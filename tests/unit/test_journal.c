/*
 * The station's journal: what it remembers after a crash at any octet, and
 * that units and processes do not get into each other's way.
 */
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "provision-tool/journal.h"

#define ORDER "2026-11-a"
#define FILE_NAME ORDER ".jsonl"

struct place {
	char dir[64];
	char journals[96]; /* a folder that is not there yet */
	char file[128];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	const char *tmp = getenv("FEALTY_TEST_DIR");

	if (p == NULL)
		return -1;
	(void)snprintf(p->dir, sizeof(p->dir), "%s/j.XXXXXX",
		       tmp == NULL || strlen(tmp) > 40 ? "/tmp" : tmp);
	if (mkdtemp(p->dir) == NULL)
		return -1;
	(void)snprintf(p->journals, sizeof(p->journals), "%s/a/b", p->dir);
	(void)snprintf(p->file, sizeof(p->file), "%s/" FILE_NAME, p->journals);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;
	char path[128];

	(void)unlink(p->file);
	(void)rmdir(p->journals);
	(void)snprintf(path, sizeof(path), "%s/a", p->dir);
	(void)rmdir(path);
	(void)rmdir(p->dir);
	free(p);
	return 0;
}

static struct journal *
open_journal(const struct place *p)
{
	struct journal *j = NULL;
	struct detail d = {""};

	if (journal_open(p->journals, ORDER, &j, &d) != ERR_OK)
		fail_msg("%s", d.text);
	return j;
}

static void
append(struct journal *j, const char *serial, const char *target,
       const char *step)
{
	struct journal_entry e;

	memset(&e, 0, sizeof(e));
	strcpy(e.order, ORDER);
	strcpy(e.serial, serial);
	strcpy(e.target, target);
	strcpy(e.step, step);
	(void)snprintf(e.device_id, sizeof(e.device_id), "%.60s", serial);
	e.epoch = 3;
	if (strcmp(step, "reserve") != 0) {
		e.has_challenge = 1;
		memset(e.challenge, step[0], sizeof(e.challenge));
	}
	assert_int_equal(journal_append(j, &e), ERR_OK);
}

static void
assert_last(struct journal *j, const char *serial, const char *target,
	    const char *step)
{
	struct journal_entry e;

	if (step == NULL) {
		assert_int_equal(journal_last(j, serial, &e),
				 ERR_NOT_FOUND);
		return;
	}
	assert_int_equal(journal_last(j, serial, &e), ERR_OK);
	assert_string_equal(e.step, step);
	assert_string_equal(e.serial, serial);
	assert_string_equal(e.target, target);
	assert_string_equal(e.order, ORDER);
	assert_int_equal(e.epoch, 3);
	if (strcmp(step, "reserve") == 0) {
		assert_int_equal(e.has_challenge, 0);
		return;
	}
	assert_int_equal(e.has_challenge, 1);
	assert_int_equal(e.challenge[31], step[0]);
}

static void
newest_step_of_the_unit_is_remembered_across_processes(void **state)
{
	struct journal *j = open_journal(*state);

	assert_last(j, "SN-1", "file:/x", NULL);
	append(j, "SN-1", "file:/x", "reserve");
	assert_last(j, "SN-1", "file:/x", "reserve");
	append(j, "SN-1", "file:/x", "release");
	journal_close(&j);
	assert_null(j);
	j = open_journal(*state);
	assert_last(j, "SN-1", "file:/x", "release");
	append(j, "SN-1", "file:/x", "write");
	assert_last(j, "SN-1", "file:/x", "write");
	journal_close(&j);
}

static void
units_are_kept_apart_and_the_newest_target_counts(void **state)
{
	struct journal *j = open_journal(*state);

	append(j, "SN-1", "file:/x", "release");
	append(j, "SN-11", "file:/x", "write");
	append(j, "N-1", "file:/x", "prove");
	append(j, "SN-1", "file:/y", "confirm");
	/* a serial that others contain, even as a target's name */
	append(j, "SN-2", "file:/SN-1", "reserve");
	assert_last(j, "SN-11", "file:/x", "write");
	assert_last(j, "N-1", "file:/x", "prove");
	assert_last(j, "SN-1", "file:/y", "confirm");
	assert_last(j, "1", "file:/x", NULL);
	journal_close(&j);
}

static void
serials_with_every_allowed_sign_and_odd_paths_come_back(void **state)
{
	static const char *const serials[] = {
	    "a/b+c:d.e_f-g",
	    "0123456789012345678901234567890123456789012345678901234567"
	    "890123"};
	static const char *const targets[] = {"file:/a \"b\"\\c\n\t",
					      "file:/\xc3\xa4\xe2\x82\xac"};
	struct journal *j = open_journal(*state);
	size_t i, k;

	for (i = 0; i < COUNT(serials); i++) {
		for (k = 0; k < COUNT(targets); k++) {
			append(j, serials[i], targets[k], "write");
			assert_last(j, serials[i], targets[k], "write");
		}
	}
	journal_close(&j);
}

static void
only_the_station_may_read_it(void **state)
{
	struct place *p = *state;
	struct journal *j = open_journal(p);
	struct stat st;

	append(j, "SN-1", "file:/x", "reserve");
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(p->journals, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	journal_close(&j);
}

static void
symbolic_link_in_its_place_is_not_followed(void **state)
{
	struct place *p = *state;
	struct journal *j = open_journal(p);
	struct detail d = {""};

	journal_close(&j);
	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(symlink("/dev/null", p->file), 0);
	assert_int_equal(journal_open(p->journals, ORDER, &j, &d), ERR_IO);
	assert_null(j);
	assert_true(d.text[0] != '\0');
}

/* The file cut at each octet, as a power cut would. */
static void
crash_at_any_octet_loses_at_most_the_torn_line(void **state)
{
	static const char *const steps[] = {"reserve", "release", "write"};
	struct place *p = *state;
	struct buf all = {.max = 65536};
	struct journal *j = open_journal(p);
	const char *want;
	size_t i, n, lines;

	for (i = 0; i < COUNT(steps); i++)
		append(j, "SN-1", "file:/x", steps[i]);
	journal_close(&j);
	assert_int_equal(file_read(p->file, 65536, &all), ERR_OK);
	for (n = 0; n <= all.len; n++) {
		for (lines = i = 0; i < n; i++)
			lines += all.p[i] == '\n';
		want = lines == 0 ? NULL : steps[lines - 1];
		assert_int_equal(unlink(p->file), 0);
		assert_int_equal(file_write_atomic(p->file, 0600, all.p, n),
				 ERR_OK);
		j = open_journal(p);
		assert_last(j, "SN-1", "file:/x", want);
		append(j, "SN-1", "file:/x", "prove");
		assert_last(j, "SN-1", "file:/x", "prove");
		append(j, "SN-1", "file:/x", "confirm");
		assert_last(j, "SN-1", "file:/x", "confirm");
		journal_close(&j);
	}
	buf_free(&all);
}

static void
write_raw(const struct place *p, const void *s, size_t len)
{
	int fd = open(p->file, O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void
lines_that_are_no_entries_are_passed_over(void **state)
{
	static const char *const junk[] = {
	    "SN-1",
	    "{}",
	    "[\"SN-1\"]",
	    "{\"serial\":\"SN-1\"}",
	    "\x01\x02SN-1\xff",
	    "{\"t\":\"2026-11-22T00:00:00Z\",\"order\":\"2026-11-a\","
	    "\"serial\":\"SN-1\",\"target\":\"file:/x\","
	    "\"step\":\"confirm\",\"device_id\":\"SN-1\",\"epoch\":3,"
	    "\"k\":1}",
	    "{\"t\":\"2026-11-22T00:00:00Z\",\"order\":\"2026-11-a\","
	    "\"serial\":\"SN-1\",\"target\":\"file:/x\","
	    "\"step\":\"confirm\",\"device_id\":\"SN-1\",\"epoch\":3,"
	    "\"challenge\":\"AA\"}"};
	struct place *p = *state;
	struct journal *j = open_journal(p);
	char nul[] = "SN-1\0SN-1";
	size_t i;

	append(j, "SN-1", "file:/x", "release");
	for (i = 0; i < COUNT(junk); i++) {
		write_raw(p, junk[i], strlen(junk[i]));
		write_raw(p, "\n", 1);
		assert_last(j, "SN-1", "file:/x", "release");
	}
	write_raw(p, nul, sizeof(nul));
	write_raw(p, "\n", 1);
	assert_last(j, "SN-1", "file:/x", "release");
	journal_close(&j);
}

#define WRITERS 4
#define LINES 25

static void
write_many(const struct place *p, int who)
{
	static const char *const steps[] = {"reserve", "release", "write"};
	struct journal *j = NULL;
	struct journal_entry e;
	int i;

	if (journal_open(p->journals, ORDER, &j, NULL) != ERR_OK)
		_exit(1);
	memset(&e, 0, sizeof(e));
	strcpy(e.order, ORDER);
	strcpy(e.target, "file:/x");
	strcpy(e.device_id, "d");
	e.epoch = 1;
	for (i = 0; i < LINES; i++) {
		(void)snprintf(e.serial, sizeof(e.serial), "W-%d", who);
		strcpy(e.step, steps[i % 3]);
		if (journal_append(j, &e) != ERR_OK)
			_exit(1);
	}
	_exit(0);
}

static void
stations_processes_append_without_tearing_each_others_lines(void **state)
{
	struct place *p = *state;
	struct buf all = {.max = 1 << 20};
	struct journal *j = open_journal(p);
	struct journal_entry e;
	char serial[16];
	size_t lines, i;
	pid_t pid[WRITERS];
	int who, status;

	for (who = 0; who < WRITERS; who++) {
		pid[who] = fork();
		assert_true(pid[who] >= 0);
		if (pid[who] == 0)
			write_many(p, who);
	}
	for (who = 0; who < WRITERS; who++) {
		assert_int_equal(waitpid(pid[who], &status, 0), pid[who]);
		assert_int_equal(status, 0);
	}
	for (who = 0; who < WRITERS; who++) {
		(void)snprintf(serial, sizeof(serial), "W-%d", who);
		assert_int_equal(journal_last(j, serial, &e),
				 ERR_OK);
		assert_string_equal(e.step, "reserve");
	}
	assert_int_equal(file_read(p->file, 1 << 20, &all), ERR_OK);
	for (lines = i = 0; i < all.len; i++)
		lines += all.p[i] == '\n';
	assert_int_equal(lines, WRITERS * LINES);
	buf_free(&all);
	journal_close(&j);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(newest_step_of_the_unit_is_remembered_across_processes),
	    CASE(units_are_kept_apart_and_the_newest_target_counts),
	    CASE(serials_with_every_allowed_sign_and_odd_paths_come_back),
	    CASE(only_the_station_may_read_it),
	    CASE(symbolic_link_in_its_place_is_not_followed),
	    CASE(crash_at_any_octet_loses_at_most_the_torn_line),
	    CASE(lines_that_are_no_entries_are_passed_over),
	    CASE(stations_processes_append_without_tearing_each_others_lines),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
