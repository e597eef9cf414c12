/*
 * exec:COMMAND: a stranger's tool gets the record on a descriptor and
 * nowhere else; it may hang, lie, shout or die without harm.
 */
#include "tests/unit/target_fixture.h"

#include <sys/stat.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "provision-tool/scrub.h"
#include "provision-tool/words.h"

#define TAKE "exec:sh -c \"cat <&3 >'%/dev'\""
#define GIVE ",verify=cat %/dev"

static enum err
write_one(struct target_place *p, const char *text, struct detail *d)
{
	struct target *t = target_at(p, text);
	enum err e = target_write(t, ONE, &p->one, d);

	target_close(&t);
	return e;
}

static void
record_goes_through_a_descriptor_and_comes_back(void **state)
{
	struct target_place *p = *state;
	struct target *t;

	target_round(p, TAKE GIVE);
	target_round(p, "exec:cp /dev/fd/3 '%/{device_id}',"
			"verify=cat '%/{device_id}'");
	t = target_at(p, TAKE);
	assert_int_equal(target_can(t), 0);
	assert_int_equal(target_proof(t), PROOF_MEDIUM);
	target_close(&t);
	t = target_at(p, TAKE ",prove=true");
	assert_int_equal(target_can(t), TARGET_PROVES);
	assert_int_equal(target_proof(t), PROOF_DEVICE);
	target_close(&t);
}

/* The command looks at all it was given itself. */
static void
no_key_in_arguments_environment_or_further_descriptors(void **state)
{
	struct target_place *p = *state;
	struct buf seen = {.max = 1 << 20};
	struct key32 key;
	struct detail d = {""};
	int extra = open("/dev/null", O_RDONLY);

	memset(key.b, KEY_OCTET, sizeof(key.b));
	assert_int_equal(setenv("SECRET_OF_OURS", "x", 1), 0);
	if (write_one(p, "exec:sh -c \"cat /proc/\\$\\$/cmdline "
			 "/proc/\\$\\$/environ >'%/seen'\"", &d) != ERR_OK)
		fail_msg("%s", d.text);
	target_get(p, "seen", &seen);
	assert_int_equal(scrub_finds(&key, seen.p, seen.len), 0);
	assert_non_null(memmem(seen.p, seen.len, "FEALTY_DEVICE_ID=" ONE, 21));
	assert_null(memmem(seen.p, seen.len, "SECRET_OF_OURS", 14));
	assert_int_equal(write_one(p, "exec:ls /proc/self/fd,log=%/fds", &d),
			 ERR_OK);
	target_get(p, "fds", &seen);
	assert_non_null(strstr(seen.p, "OK\n0\n1\n2\n3\n4\n")); /* 4: ls's */
	assert_null(strstr(seen.p, "\n5\n"));
	(void)close(extra);
	buf_free(&seen);
}

static void
record_that_was_handed_over_cannot_be_changed(void **state)
{
	struct target_place *p = *state;

	assert_int_not_equal(write_one(p, "exec:sh -c \"echo x >/dev/fd/3\"",
				       NULL), ERR_OK);
}

static void
command_that_hangs_dies_with_all_its_children(void **state)
{
	struct target_place *p = *state;
	struct buf pid = {.max = 64};
	struct detail d = {""};
	int64_t end;

	assert_int_equal(write_one(p, "exec:sh -c \"sleep 1000 & echo \\$! "
				      ">'%/pid'; wait\",timeout=300ms", &d),
			 ERR_TIMEOUT);
	assert_non_null(strstr(d.text, "killed"));
	target_get(p, "pid", &pid);
	end = clock_mono_ms(&clock_system) + 10000;
	while (kill(atoi(pid.p), 0) == 0 &&
	       clock_mono_ms(&clock_system) < end)
		(void)usleep(1000);
	assert_int_not_equal(kill(atoi(pid.p), 0), 0);
	/* deaf to SIGTERM */
	assert_int_equal(write_one(p, "exec:sh -c \"trap '' TERM; "
				      "while :; do sleep 1; done\","
				      "timeout=200ms", NULL), ERR_TIMEOUT);
	buf_free(&pid);
}

static void
what_a_command_leaves_running_is_killed(void **state)
{
	struct target_place *p = *state;
	struct buf pid = {.max = 64};
	int64_t end;

	assert_int_equal(write_one(p, "exec:sh -c \"sleep 1000 & echo \\$! "
				      ">'%/pid'\"", NULL), ERR_OK);
	target_get(p, "pid", &pid);
	end = clock_mono_ms(&clock_system) + 10000;
	while (kill(atoi(pid.p), 0) == 0 &&
	       clock_mono_ms(&clock_system) < end)
		(void)usleep(1000);
	assert_int_not_equal(kill(atoi(pid.p), 0), 0);
	buf_free(&pid);
}

static void
command_that_fails_says_its_last_line(void **state)
{
	struct target_place *p = *state;
	struct detail d = {""};

	assert_int_equal(write_one(p, "exec:sh -c \"echo no device >&2; "
				      "exit 3\"", &d), ERR_IO);
	assert_non_null(strstr(d.text, "status 3"));
	assert_non_null(strstr(d.text, "no device"));
	d.text[0] = '\0';
	assert_int_equal(write_one(p, "exec:/no/such/tool", &d), ERR_IO);
	assert_non_null(strstr(d.text, "No such file"));
	assert_int_equal(write_one(p, "exec:sh -c \"kill -9 \\$\\$\"", NULL),
			 ERR_IO);
	/* and one that talks much is listened to */
	assert_int_equal(write_one(p, "exec:head -c 1000000 /dev/zero", NULL),
			 ERR_OK);
}

static void
key_that_a_command_prints_reaches_no_message_and_no_log(void **state)
{
	static const char *const leaks[] = {
	    "cat /dev/fd/3", "od -An -tx1 /dev/fd/3",
	    "base64 /dev/fd/3", "base64 -w0 /dev/fd/3"};
	struct target_place *p = *state;
	struct buf log = {.max = 1 << 20};
	struct detail d;
	struct key32 key;
	char spec[256];
	size_t i;

	memset(key.b, KEY_OCTET, sizeof(key.b));
	for (i = 0; i < COUNT(leaks); i++) {
		d.text[0] = '\0';
		(void)snprintf(spec, sizeof(spec),
			       "exec:sh -c \"%s >&2; exit 1\",log=%%/log",
			       leaks[i]);
		assert_int_equal(write_one(p, spec, &d), ERR_IO);
		assert_non_null(strstr(d.text, "not shown"));
		target_get(p, "log", &log);
		assert_int_equal(scrub_finds(&key, log.p, log.len), 0);
	}
	assert_int_equal(write_one(p, "exec:echo all well,log=%/log", NULL),
			 ERR_OK);
	target_get(p, "log", &log);
	assert_non_null(strstr(log.p, "all well\n"));
	assert_non_null(strstr(log.p, "not shown"));
	buf_free(&log);
}

static void
key_is_found_in_any_clothes(void **state)
{
	char text[256], hex[65], b64[64];
	struct key32 key;
	unsigned char shifted[40] = {1, 2, 3};
	size_t i;

	(void)state;
	for (i = 0; i < 32; i++)
		key.b[i] = (unsigned char)(i * 37 + 11);
	hex_encode(key.b, 32, hex);
	for (i = 0; i < 4; i++) {
		memcpy(shifted + i, key.b, 32);
		b64url_encode(shifted, 32 + i, b64);
		assert_int_equal(scrub_finds(&key, b64, strlen(b64)), 1);
	}
	assert_int_equal(scrub_finds(&key, hex, 64), 1);
	assert_int_equal(scrub_finds(&key, hex + 20, 18), 1);
	assert_int_equal(scrub_finds(&key, hex, 10), 0);
	for (i = 0; i < 16; i++)
		(void)snprintf(text + 6 * i, 8, "0x%02X, ", key.b[i]);
	assert_int_equal(scrub_finds(&key, text, strlen(text)), 1);
	assert_int_equal(scrub_finds(&key, "Wrote 4096 bytes at 0x9000", 26),
			 0);
}

static void
answers_are_taken_as_octets_or_digits_only(void **state)
{
	static const struct {
		const char *prove;
		enum err e;
	} says[] = {
	    {"cat <&3", ERR_OK}, /* 32 octets */
	    {"printf %%064d 7", ERR_OK},
	    {"printf '%%064d\\\\n' 7", ERR_OK},
	    {"printf %%063d 7", ERR_PROOF},
	    {"printf %%065d 7", ERR_PROOF},
	    {"printf %%064dx 7", ERR_PROOF},
	    {"printf %%63dz 7", ERR_PROOF},
	    {"true", ERR_PROOF},
	    {"exit 1", ERR_PROOF},
	    {"cat /dev/zero", ERR_PROOF},
	    {"sleep 100", ERR_TIMEOUT},
	};
	unsigned char challenge[CHALLENGE_LEN], answer[32];
	struct target_place *p = *state;
	struct target *t = NULL;
	char spec[256];
	size_t i;

	memset(challenge, 0x42, sizeof(challenge));
	for (i = 0; i < COUNT(says); i++) {
		(void)snprintf(spec, sizeof(spec),
			       "exec:true,timeout=2s,prove=sh -c \"%s\"",
			       says[i].prove);
		for (char *c = strstr(spec, "%%"); c != NULL;
		     c = strstr(spec, "%%"))
			memmove(c, c + 1, strlen(c));
		/* not through target_at: its % would be the folder */
		assert_int_equal(target_open(spec, &t, NULL), ERR_OK);
		assert_case(target_prove(t, ONE, challenge, answer, NULL) ==
				says[i].e, says[i].prove);
		target_close(&t);
	}
	(void)p;
}

static void
read_back_that_fails_or_lies_is_no_record(void **state)
{
	struct target_place *p = *state;
	struct secret back = {0};
	struct target *t;

	t = target_at(p, "exec:true,verify=false");
	assert_int_equal(target_read(t, ONE, &back, NULL), ERR_RECORD);
	target_close(&t);
	t = target_at(p, "exec:true,verify=true");
	assert_int_equal(target_read(t, ONE, &back, NULL), ERR_RECORD);
	target_close(&t);
	t = target_at(p, "exec:true,verify=head -c 4097 /dev/zero");
	assert_int_equal(target_read(t, ONE, &back, NULL), ERR_RECORD);
	target_close(&t);
	assert_null(back.p);
}

static void
commands_that_mean_nothing_are_refused(void **state)
{
	struct target_place *p = *state;

	target_refused(p, "exec:", "empty");
	target_refused(p, "exec:  ", "empty");
	target_refused(p, "exec:''", "empty");
	target_refused(p, "exec:a 'b", "open quote");
	target_refused(p, "exec:a,b", "unknown option");
	target_refused(p, "exec:a,verify=", "empty");
	target_refused(p, "exec:a,timeout=0", "timeout=");
	target_refused(p, "exec:a,timeout=2d", "timeout=");
	target_refused(p, "exec:a,timeout=61m", "timeout=");
	target_refused(p, "exec:a,log=%/no/log", "No such file");
}

static void
words_are_what_a_shell_would_make_without_its_magic(void **state)
{
	char **w = NULL;

	(void)state;
	assert_int_equal(words_split(" a 'b c'd \"e \\\"f\" g\\ h '' $x;* ", &w,
				     NULL), ERR_OK);
	assert_string_equal(w[0], "a");
	assert_string_equal(w[1], "b cd");
	assert_string_equal(w[2], "e \"f");
	assert_string_equal(w[3], "g h");
	assert_string_equal(w[4], "");
	assert_string_equal(w[5], "$x;*");
	assert_null(w[6]);
	words_free(&w);
}

#define CASE(f) TARGET_CASE(f)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(record_goes_through_a_descriptor_and_comes_back),
	    CASE(no_key_in_arguments_environment_or_further_descriptors),
	    CASE(record_that_was_handed_over_cannot_be_changed),
	    CASE(command_that_hangs_dies_with_all_its_children),
	    CASE(what_a_command_leaves_running_is_killed),
	    CASE(command_that_fails_says_its_last_line),
	    CASE(key_that_a_command_prints_reaches_no_message_and_no_log),
	    CASE(key_is_found_in_any_clothes),
	    CASE(answers_are_taken_as_octets_or_digits_only),
	    CASE(read_back_that_fails_or_lies_is_no_record),
	    CASE(commands_that_mean_nothing_are_refused),
	    CASE(words_are_what_a_shell_would_make_without_its_magic),
	};

	return cmocka_run_group_tests_name("target exec", tests, NULL, NULL);
}
