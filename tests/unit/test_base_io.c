/*
 * lib/base at its edges: files are written whole and secret ones kept to
 * their owner, a log line stays one line, options are taken strictly.
 */
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/opt.h"
#include "lib/base/secret.h"

static char dir[64];

static void
path_in(char *out, size_t size, const char *name)
{
	(void)snprintf(out, size, "%s/%s", dir, name);
}

static void
file_is_replaced_whole_with_its_mode(void **state)
{
	struct buf b = {.max = 100};
	struct stat st;
	char path[100];

	path_in(path, sizeof(path), "a");
	assert_int_equal(file_read(path, 10, &b), ERR_NOT_FOUND);
	assert_int_equal(file_write_atomic(path, 0640, "one", 3), ERR_OK);
	assert_int_equal(file_write_atomic(path, 0600, "three", 5), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(file_read(path, 5, &b), ERR_OK);
	assert_string_equal(b.p, "three");
	assert_int_equal(file_read(path, 4, &b), ERR_TOO_LARGE);
	assert_string_equal(b.p, "three");
	buf_free(&b);
}

static void
create_never_overwrites(void **state)
{
	struct buf b = {0};
	char path[100];

	path_in(path, sizeof(path), "created");
	assert_int_equal(file_create_atomic(path, 0600, "one", 3), ERR_OK);
	assert_int_equal(file_create_atomic(path, 0600, "two", 3), ERR_EXISTS);
	assert_int_equal(file_read(path, 10, &b), ERR_OK);
	assert_string_equal(b.p, "one");
	buf_free(&b);
}

static void
secret_file_that_others_may_read_is_refused(void **state)
{
	static const mode_t bad[] = {0604, 0640, 0644, 0602, 0620, 0601, 0777};
	struct secret s = {0};
	char path[100];
	size_t i;

	path_in(path, sizeof(path), "key");
	for (i = 0; i < COUNT(bad); i++) {
		assert_int_equal(file_write_atomic(path, bad[i], "k", 1),
				 ERR_OK);
		assert_int_equal(file_read_secret(path, 32, &s), ERR_CONFIG);
		assert_null(s.p);
	}
	assert_int_equal(file_read_secret(dir, 32, &s), ERR_CONFIG);
	assert_int_equal(file_write_atomic(path, 0600, "k", 1), ERR_OK);
	assert_int_equal(file_read_secret(path, 32, &s), ERR_OK);
	assert_int_equal(s.len, 1);
	assert_int_equal(file_read_secret(path, 0, &s), ERR_TOO_LARGE);
	secret_free(&s);
}

static void
secret_file_that_is_a_fifo_does_not_hang(void **state)
{
	struct secret s = {0};
	char path[100];

	path_in(path, sizeof(path), "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read_secret(path, 32, &s), ERR_CONFIG);
}

static void
directories_are_made_down_the_path(void **state)
{
	struct stat st;
	char path[100];

	path_in(path, sizeof(path), "x/y//z");
	assert_int_equal(dir_make(path, 0700), ERR_OK);
	assert_int_equal(dir_make(path, 0700), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	path_in(path, sizeof(path), "plain");
	assert_int_equal(file_write_atomic(path, 0600, "", 0), ERR_OK);
	assert_int_equal(dir_make(path, 0700), ERR_IO);
	assert_int_equal(dir_make("", 0700), ERR_IO);
}

/* What one log line holds; the line itself in text. */
static json_t *
logged(struct buf *text, const char *path)
{
	json_t *j;

	assert_int_equal(file_read(path, 100000, text), ERR_OK);
	assert_true(text->len <= 2048);
	assert_int_equal(text->p[text->len - 1], '\n');
	assert_ptr_equal(strchr(text->p, '\n'), text->p + text->len - 1);
	j = json_loads(text->p, 0, NULL);
	assert_non_null(j);
	return j;
}

static json_t *
log_one(const char *value, int64_t i, double d)
{
	struct buf text = {0};
	char path[100];
	json_t *j;
	int fd;

	path_in(path, sizeof(path), "log");
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	log_set(LOG_INFO_, fd);
	log_line(LOG_DEBUG_, "not this");
	log_line(LOG_WARN_, "what", F_STR("s", value), F_INT("i", i),
		 F_REAL("d", d));
	log_set(LOG_INFO_, STDERR_FILENO);
	(void)close(fd);
	j = logged(&text, path);
	buf_free(&text);
	return j;
}

static void
hostile_log_value_stays_one_line_of_json(void **state)
{
	json_t *j =
	    log_one("a\"b\\c\n{\"level\":\"error\"}\x01\x7f\xc3\xa4", -5, 1.5);

	assert_string_equal(json_string_value(json_object_get(j, "s")),
			    "a\"b\\c\n{\"level\":\"error\"}\x01\x7f\xc3\xa4");
	assert_string_equal(json_string_value(json_object_get(j, "level")),
			    "warn");
	assert_int_equal(json_integer_value(json_object_get(j, "i")), -5);
	json_decref(j);
	j = log_one("\xff\xc0\x80\xed\xa0\x80\xf5 end\xc3", 0, 1.0 / 0.0);
	assert_non_null(
	    strstr(json_string_value(json_object_get(j, "s")), " end"));
	assert_true(json_is_null(json_object_get(j, "d")));
	json_decref(j);
	j = log_one(NULL, 0, 0);
	assert_true(json_is_null(json_object_get(j, "s")));
	json_decref(j);
}

static void
overlong_log_value_is_cut_not_broken(void **state)
{
	char big[5000];
	json_t *j;
	size_t i;

	/* every alignment of the cut: plain, escapes, UTF-8 */
	for (i = 0; i < 12; i++) {
		memset(big, '\n', sizeof(big));
		memset(big, 'x', 1000 + i);
		big[sizeof(big) - 1] = '\0';
		j = log_one(big, 1, 1);
		json_decref(j);
		memset(big, 'x', sizeof(big));
		memcpy(big + 1900 + 8 * i, "\xc3\xa4\xe2\x82\xac\xe2\x82\xac",
		       8);
		big[sizeof(big) - 1] = '\0';
		j = log_one(big, 1, 1);
		json_decref(j);
	}
}

static void
log_takes_a_line_without_fields(void **state)
{
	log_set(LOG_ERROR_, STDERR_FILENO);
	log_line(LOG_INFO_, "nothing");
	log_set(LOG_INFO_, STDERR_FILENO);
}

struct target {
	int verbose, help;
	const char *config, *name;
	uint64_t port, wait;
};

static const struct opt table[] = {
    {"config", 'c', OPT_STRING, "FILE", "read FILE",
     offsetof(struct target, config), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this", offsetof(struct target, help), 0,
     NULL},
    {"verbose", 'v', OPT_FLAG, NULL, "more", offsetof(struct target, verbose),
     0, NULL},
    {"the-name", 0, OPT_STRING, "N", "name", offsetof(struct target, name), 0,
     "nobody"},
    {"port", 'p', OPT_NUMBER, "N", "port", offsetof(struct target, port), 65535,
     "1"},
    {"wait", 0, OPT_DURATION, "T", "wait", offsetof(struct target, wait), 60000,
     "5s"},
};

static enum err
parse(struct target *t, struct detail *d, const char *const *args)
{
	char *argv[16];
	int argc = 0, rest = 0;

	memset(t, 0, sizeof(*t));
	memset(d, 0, sizeof(*d));
	argv[argc++] = strdup("prog");
	while (*args != NULL)
		argv[argc++] = strdup(*args++);
	argv[argc] = NULL;
	enum err e =
	    opt_parse(table, COUNT(table), "FEALTYT", argc, argv, t, &rest, d);
	/* Only the two that tests look at survive, as literals. */
	if (t->name != NULL)
		t->name = strcmp(t->name, "argv") == 0	   ? "argv"
			  : strcmp(t->name, "nobody") == 0 ? "nobody"
			  : strcmp(t->name, "env") == 0	   ? "env"
							   : "file";
	if (e == ERR_OK && rest != argc)
		t->config = "rest";
	while (argc > 0)
		free(argv[--argc]);
	return e;
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
options_later_source_wins(void **state)
{
	static const char text[] =
	    "# comment\n\n port = 2\nthe-name = file x\nverbose=yes\n";
	struct detail d;
	struct target t;
	char path[100];

	path_in(path, sizeof(path), "conf");
	assert_int_equal(file_write_atomic(path, 0600, text, strlen(text)),
			 ERR_OK);
	assert_int_equal(parse(&t, &d, ARGS("-v")), ERR_OK);
	assert_int_equal(t.port, 1);
	assert_int_equal(t.wait, 5000);
	assert_string_equal(t.name, "nobody");
	assert_int_equal(parse(&t, &d, ARGS("--config", path)), ERR_OK);
	assert_int_equal(t.port, 2);
	assert_int_equal(t.verbose, 1);
	assert_string_equal(t.name, "file");
	assert_int_equal(setenv("FEALTYT_THE_NAME", "env", 1), 0);
	assert_int_equal(setenv("FEALTYT_PORT", "3", 1), 0);
	assert_int_equal(setenv("FEALTYT_HELP", "what", 1), 0);
	assert_int_equal(parse(&t, &d, ARGS("-c", path, "-p4")), ERR_OK);
	assert_int_equal(t.port, 4);
	assert_string_equal(t.name, "env");
	assert_int_equal(parse(&t, &d, ARGS("--the-name=argv", "x", "-h")),
			 ERR_OK);
	assert_string_equal(t.name, "argv");
	assert_int_equal(t.help, 1);
	assert_string_equal(t.config, "rest");
	(void)unsetenv("FEALTYT_THE_NAME");
	(void)unsetenv("FEALTYT_PORT");
	(void)unsetenv("FEALTYT_HELP");
}

static void
wrong_options_are_refused_by_name(void **state)
{
	static const char *const lines[] = {
	    "nothing",	"unknown = 1", "port = 65536",
	    "port = x", "wait = 2h",   "verbose = maybe",
	    "help = 1", "config = /x", "= 1"};
	struct detail d;
	struct target t;
	char path[100];
	size_t i;

	assert_int_equal(parse(&t, &d, ARGS("--nope")), ERR_CONFIG);
	assert_non_null(strstr(d.text, "--nope"));
	assert_int_equal(parse(&t, &d, ARGS("--port")), ERR_CONFIG);
	assert_int_equal(parse(&t, &d, ARGS("--port", "65536")), ERR_CONFIG);
	assert_non_null(strstr(d.text, "--port"));
	assert_int_equal(parse(&t, &d, ARGS("-x")), ERR_CONFIG);
	assert_int_equal(parse(&t, &d, ARGS("--verbose=1")), ERR_CONFIG);
	assert_int_equal(parse(&t, &d, ARGS("-c", "/nonexistent")), ERR_CONFIG);
	path_in(path, sizeof(path), "bad");
	for (i = 0; i < COUNT(lines); i++) {
		assert_int_equal(
		    file_write_atomic(path, 0600, lines[i], strlen(lines[i])),
		    ERR_OK);
		assert_case(parse(&t, &d, ARGS("-c", path)) == ERR_CONFIG,
			    lines[i]);
		assert_non_null(strstr(d.text, "bad:1"));
	}
	assert_int_equal(file_write_atomic(path, 0600, "port=1\0port=2", 13),
			 ERR_OK);
	assert_int_equal(parse(&t, &d, ARGS("-c", path)), ERR_CONFIG);
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(dir, sizeof(dir), "%s/fealty-XXXXXX",
		       tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	static const char *const names[] = {"a",     "created", "key",	"fifo",
					    "plain", "log",	"conf", "bad"};
	static const char *const dirs[] = {"x/y/z", "x/y", "x", ""};
	char path[100];
	size_t i;

	for (i = 0; i < COUNT(names); i++) {
		path_in(path, sizeof(path), names[i]);
		(void)unlink(path);
	}
	for (i = 0; i < COUNT(dirs); i++) {
		path_in(path, sizeof(path), dirs[i]);
		(void)rmdir(path);
	}
	/* A temporary file left behind would still be there. */
	return access(dir, F_OK) == 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(file_is_replaced_whole_with_its_mode),
	    cmocka_unit_test(create_never_overwrites),
	    cmocka_unit_test(secret_file_that_others_may_read_is_refused),
	    cmocka_unit_test(secret_file_that_is_a_fifo_does_not_hang),
	    cmocka_unit_test(directories_are_made_down_the_path),
	    cmocka_unit_test(hostile_log_value_stays_one_line_of_json),
	    cmocka_unit_test(overlong_log_value_is_cut_not_broken),
	    cmocka_unit_test(log_takes_a_line_without_fields),
	    cmocka_unit_test(options_later_source_wins),
	    cmocka_unit_test(wrong_options_are_refused_by_name),
	};

	return cmocka_run_group_tests_name("base_io", tests, setup, teardown);
}
