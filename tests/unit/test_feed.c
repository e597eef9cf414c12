/*
 * What a scanner or a list may hold, and what the progress says of it.
 */
#include "tests/unit/unit.h"

#include <unistd.h>

#include "lib/base/file.h"
#include "provision-tool/feed.h"
#include "provision-tool/progress.h"

static char path[64];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/feed.%d", (int)getpid());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return 0;
}

static struct feed *
open_text(const char *text)
{
	struct feed *f = NULL;

	assert_int_equal(file_write_atomic(path, 0600, text, strlen(text)),
			 ERR_OK);
	assert_int_equal(feed_open(path, &f, NULL), ERR_OK);
	return f;
}

static int
next(struct feed *f, struct unit *u)
{
	while (!feed_next(f, u)) {
		if (feed_over(f))
			return 0;
		assert_int_equal(feed_fill(f), ERR_OK);
		if (feed_over(f) && !feed_next(f, u))
			return 0;
		else if (feed_over(f))
			return 1;
	}
	return 1;
}

static void
assert_next(struct feed *f, const char *serial, unsigned slot, int good)
{
	struct unit u;

	assert_int_equal(next(f, &u), 1);
	assert_string_equal(u.serial, serial);
	assert_int_equal(u.slot, slot);
	assert_int_equal(u.fault == NULL, good);
}

static void
every_kind_of_line_end_and_blank_is_taken(void **state)
{
	struct feed *f = open_text("A-1\nA-2\r\nA-3\r\r\n\n  A-4\t\n# no\n"
				   "A-5 7\nA-6\t12 \nA-7");
	struct unit u;

	(void)state;
	assert_int_equal(feed_count(f), 7);
	assert_next(f, "A-1", 0, 1);
	assert_next(f, "A-2", 0, 1);
	assert_next(f, "A-3", 0, 1);
	assert_next(f, "A-4", 0, 1);
	assert_next(f, "A-5", 7, 1);
	assert_next(f, "A-6", 12, 1);
	assert_next(f, "A-7", 0, 1);
	assert_int_equal(next(f, &u), 0);
	assert_int_equal(feed_over(f), 1);
	feed_close(&f);
}

static void
what_is_no_serial_number_is_named_and_passed_over(void **state)
{
	char text[1200];
	struct feed *f;
	struct unit u;

	(void)state;
	memset(text, 'S', 1000);
	(void)snprintf(text + 1000, sizeof(text) - 1000,
	    "\nA;1\n\x1b[2J\nA-1 0\nA-1 x\nA-1 1 2\nA-2\n");
	f = open_text(text);
	assert_int_equal(feed_count(f), 7);
	assert_int_equal(next(f, &u), 1);
	assert_non_null(u.fault);
	assert_next(f, "A;1", 0, 0);
	assert_next(f, "?[2J", 0, 0);
	assert_next(f, "A-1", 0, 0);
	assert_next(f, "A-1", 0, 0);
	assert_next(f, "A-1", 0, 0);
	assert_next(f, "A-2", 0, 1);
	feed_close(&f);
}

static void
lines_cut_anywhere_by_a_pipe_come_together(void **state)
{
	static const char text[] = "SN-1\r\nSN-2 3\nbad one!\nSN-3";
	struct feed *f = NULL;
	struct unit u;
	int p[2], saved = dup(STDIN_FILENO);
	size_t i, n = 0;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_true(dup2(p[0], STDIN_FILENO) == STDIN_FILENO);
	assert_int_equal(feed_open("-", &f, NULL), ERR_OK);
	assert_int_equal(feed_count(f), 0);
	for (i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(write(p[1], text + i, 1), 1);
		assert_int_equal(feed_fill(f), ERR_OK);
		while (feed_next(f, &u))
			n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(close(p[1]), 0);
	assert_int_equal(feed_fill(f), ERR_OK);
	assert_int_equal(feed_next(f, &u), 1);
	assert_string_equal(u.serial, "SN-3");
	assert_int_equal(feed_over(f), 1);
	feed_close(&f);
	assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
	(void)close(saved);
	(void)close(p[0]);
}

static void
rate_is_of_the_last_seconds_and_not_of_what_was_done_before(void **state)
{
	struct progress p = {.total = 10000, .done = 1000, .before = 1000};
	struct meter m = {.n = 0};
	char text[PROGRESS_TEXT];
	int64_t s;

	(void)state;
	meter_sample(&m, &p, 0);
	assert_true(meter_rate(&m, &p, 0) < 0.001);
	for (s = 1; s <= 60; s++) {
		p.done += s <= 40 ? 10 : 50;
		meter_sample(&m, &p, s * 1000);
		meter_sample(&m, &p, s * 1000 + 1);
	}
	assert_true(meter_rate(&m, &p, 60000) > 49.9);
	assert_true(meter_rate(&m, &p, 60000) < 50.1);
	p.failed = 3;
	p.hand = 8;
	progress_text(&p, 50, text);
	assert_string_equal(text, "2400 done, 3 failed, 8 in hand, 50/s, "
				  "2:32 left");
	p.total = 0;
	progress_text(&p, 1.25, text);
	assert_string_equal(text, "2400 done, 3 failed, 8 in hand, 1.2/s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_of_line_end_and_blank_is_taken),
	    cmocka_unit_test(what_is_no_serial_number_is_named_and_passed_over),
	    cmocka_unit_test(lines_cut_anywhere_by_a_pipe_come_together),
	    cmocka_unit_test(
		rate_is_of_the_last_seconds_and_not_of_what_was_done_before),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
