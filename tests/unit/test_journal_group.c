/*
 * The journal shared by the slots of a line: lines that share one fsync count
 * when it came back and not before, and all fail with it; the index says what
 * a reading of the whole file says.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "provision-tool/journal.h"

#define ORDER "o"
#define WRITERS 8
#define LINES 20

static char dir[64], path[80];
static atomic_int syncs, fail_at, held, waiting;

int __real_fsync(int fd);
int __wrap_fsync(int fd);

/* Held back until the test lets go; or fails. */
int
__wrap_fsync(int fd)
{
	const struct timespec ts = {0, 200000};
	int n = atomic_fetch_add(&syncs, 1) + 1;

	while (atomic_load(&held))
		(void)nanosleep(&ts, NULL);
	if (n == atomic_load(&fail_at)) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

static int
setup(void **state)
{
	struct journal *j = NULL;

	(void)snprintf(dir, sizeof(dir), "/tmp/jg.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/" ORDER ".jsonl", dir);
	if (journal_open(dir, ORDER, &j, NULL) != ERR_OK)
		return -1;
	atomic_store(&syncs, 0);
	atomic_store(&fail_at, 0);
	atomic_store(&held, 0);
	atomic_store(&waiting, 0);
	*state = j;
	return 0;
}

static int
teardown(void **state)
{
	struct journal *j = *state;

	journal_close(&j);
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}

static enum err
append(struct journal *j, const char *serial, const char *step, uint32_t n)
{
	struct journal_entry e;

	memset(&e, 0, sizeof(e));
	strcpy(e.order, ORDER);
	strcpy(e.target, "file:/x");
	strcpy(e.device_id, "d");
	(void)snprintf(e.serial, sizeof(e.serial), "%s", serial);
	(void)snprintf(e.step, sizeof(e.step), "%s", step);
	e.epoch = n;
	return journal_append(j, &e);
}

/* Lines on the file; the last of a serial number in *epoch. */
static size_t
lines_there(const char *serial, uint32_t *epoch)
{
	struct buf all = {.max = 1 << 20};
	char want[64], *p, *line, *rest;
	size_t n = 0;

	(void)snprintf(want, sizeof(want), "\"serial\":\"%s\"", serial);
	assert_int_equal(file_read(path, 1 << 20, &all), ERR_OK);
	assert_int_equal(buf_add(&all, "", 1), ERR_OK);
	for (line = strtok_r(all.p, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		n++;
		if (strstr(line, want) == NULL)
			continue;
		p = strstr(line, "\"epoch\":");
		assert_non_null(p);
		*epoch = (uint32_t)strtoul(p + 8, NULL, 10);
	}
	buf_free(&all);
	return n;
}

struct writer {
	struct journal *j;
	pthread_t thread;
	char serial[16];
	int lines;
	enum err e;
	int why;
	int missing; /* a line came back that was not on the file */
};

static void *
write_lines(void *arg)
{
	struct writer *w = arg;
	struct journal_entry last;
	int i;

	for (i = 1; i <= w->lines; i++) {
		(void)atomic_fetch_add(&waiting, 1);
		w->e = append(w->j, w->serial, "write", (uint32_t)i);
		w->why = errno;
		if (w->e != ERR_OK)
			break;
		if (journal_last(w->j, w->serial, &last) != ERR_OK ||
		    last.epoch != (uint32_t)i)
			w->missing = 1;
	}
	return NULL;
}

static void
start(struct writer *w, struct journal *j, int n, int lines)
{
	int i;

	for (i = 0; i < n; i++) {
		memset(&w[i], 0, sizeof(w[i]));
		w[i].j = j;
		w[i].lines = lines;
		(void)snprintf(w[i].serial, sizeof(w[i].serial), "W-%d", i);
		assert_int_equal(pthread_create(&w[i].thread, NULL,
		    write_lines, &w[i]), 0);
	}
}

static void
join(struct writer *w, int n)
{
	int i;

	for (i = 0; i < n; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
}

static void
wait_for(atomic_int *what, int n)
{
	const struct timespec ts = {0, 1000000};
	int tries;

	for (tries = 0; atomic_load(what) < n; tries++) {
		assert_true(tries < 20000);
		(void)nanosleep(&ts, NULL);
	}
}

static void
lines_that_wait_together_share_one_sync_and_keep_their_order(void **state)
{
	struct journal *j = *state;
	struct writer w[WRITERS];
	uint32_t epoch = 0;
	int i;

	atomic_store(&held, 1);
	start(w, j, WRITERS, LINES);
	wait_for(&waiting, WRITERS); /* one syncs, the others queue up */
	atomic_store(&held, 0);
	join(w, WRITERS);
	for (i = 0; i < WRITERS; i++) {
		assert_int_equal(w[i].e, ERR_OK);
		assert_int_equal(w[i].missing, 0);
		assert_int_equal(lines_there(w[i].serial, &epoch),
				 WRITERS * LINES);
		assert_int_equal(epoch, LINES);
	}
	assert_true(atomic_load(&syncs) < WRITERS * LINES);
}

static void
nothing_counts_before_its_sync_came_back(void **state)
{
	struct journal *j = *state;
	struct writer w[1];
	const struct timespec ts = {0, 1000000};
	uint32_t epoch = 0;

	atomic_store(&held, 1);
	start(w, j, 1, 2);
	wait_for(&syncs, 1);
	/* written, not synced: the writer must not be at its second line */
	assert_int_equal(lines_there("W-0", &epoch), 1);
	(void)nanosleep(&ts, NULL);
	assert_int_equal(atomic_load(&waiting), 1);
	atomic_store(&held, 0);
	join(w, 1);
	assert_int_equal(w[0].e, ERR_OK);
}

static void
sync_that_fails_fails_every_line_in_it_and_behind_it(void **state)
{
	struct journal *j = *state;
	struct writer w[WRITERS];
	struct journal *next = NULL;
	int i;

	atomic_store(&fail_at, 1);
	atomic_store(&held, 1);
	start(w, j, WRITERS, LINES);
	wait_for(&waiting, WRITERS);
	atomic_store(&held, 0);
	join(w, WRITERS);
	for (i = 0; i < WRITERS; i++) {
		assert_int_equal(w[i].e, ERR_IO);
		assert_int_equal(w[i].why, EIO);
	}
	assert_int_equal(append(j, "W-0", "confirm", 9), ERR_IO);
	assert_int_equal(errno, EIO);
	assert_int_equal(atomic_load(&syncs), 1);
	/* the next run's journal is another matter */
	assert_int_equal(journal_open(dir, ORDER, &next, NULL), ERR_OK);
	assert_int_equal(append(next, "W-0", "confirm", 9), ERR_OK);
	journal_close(&next);
}

static void
assert_same(struct journal *indexed, struct journal *plain,
	    const char *serial)
{
	struct journal_entry a, b;
	enum err ea, eb;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	ea = journal_last(indexed, serial, &a);
	eb = journal_last(plain, serial, &b);
	assert_int_equal(ea, eb);
	assert_string_equal(a.step, b.step);
	assert_int_equal(a.epoch, b.epoch);
}

static void
write_raw(const char *s)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s, strlen(s)), (ssize_t)strlen(s));
	assert_int_equal(close(fd), 0);
}

static void
index_says_what_a_reading_of_the_whole_file_says(void **state)
{
	struct journal *plain = *state, *j = NULL;
	static const char *const junk[] = {"{\"serial\":\"S-1\"", "\n",
	    "S-2\n", "{}\n", "\n\n"};
	char serial[16], *longest;
	uint32_t i;

	assert_int_equal(append(plain, "S-0", "reserve", 1), ERR_OK);
	assert_int_equal(journal_open(dir, ORDER, &j, NULL), ERR_OK);
	assert_int_equal(journal_index(j), ERR_OK);
	for (i = 0; i < 60; i++) {
		(void)snprintf(serial, sizeof(serial), "S-%u", i % 7);
		assert_int_equal(append(i % 2 ? j : plain, serial,
		    i % 3 ? "write" : "prove", i), ERR_OK);
		if (i < COUNT(junk))
			write_raw(junk[i]);
		assert_same(j, plain, serial);
	}
	/* what is longer than any line, and than a reading */
	longest = malloc(200001);
	assert_non_null(longest);
	memset(longest, 'x', 200000);
	longest[200000] = '\0';
	write_raw(longest);
	write_raw("\n");
	free(longest);
	assert_int_equal(append(plain, "S-3", "confirm", 99), ERR_OK);
	for (i = 0; i < 9; i++) {
		(void)snprintf(serial, sizeof(serial), "S-%u", i);
		assert_same(j, plain, serial);
	}
	journal_close(&j);
}

static void
unit_given_back_can_be_claimed_by_another_run(void **state)
{
	struct journal *j = *state, *other = NULL;

	assert_int_equal(journal_open(dir, ORDER, &other, NULL), ERR_OK);
	assert_int_equal(journal_claim(j, "S-1"), ERR_OK);
	assert_int_equal(journal_claim(other, "S-1"), ERR_CONFLICT);
	journal_unclaim(j, "S-1");
	assert_int_equal(journal_claim(other, "S-1"), ERR_OK);
	journal_close(&other);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(lines_that_wait_together_share_one_sync_and_keep_their_order),
	    CASE(nothing_counts_before_its_sync_came_back),
	    CASE(sync_that_fails_fails_every_line_in_it_and_behind_it),
	    CASE(index_says_what_a_reading_of_the_whole_file_says),
	    CASE(unit_given_back_can_be_claimed_by_another_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
