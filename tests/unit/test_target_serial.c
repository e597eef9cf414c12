/*
 * serial:DEVICE with the device's own code behind a pty: whatever happens to
 * any one frame, either way, the record arrives once; and a device that
 * answers wrongly, late or not at all costs a bounded time and is told in one
 * line.
 */
#include "tests/unit/target_fixture.h"

#include <fealty/device_openssl.h>
#include "lib/base/clock.h"
#include "tests/helpers/serial_wire.h"

#define FRAMES_MAX 64
static struct wire w;

static struct target *
target_of(struct target_place *p, const char *options)
{
	char spec[200];

	(void)snprintf(spec, sizeof(spec), "serial:%s%s", w.path, options);
	return target_at(p, spec);
}

static const unsigned char challenge[CHALLENGE_LEN] = {1, 2, 3};

static void
assert_proof(const struct secret *record, const unsigned char answer[32])
{
	struct fealty_record r;
	uint8_t want[32];

	assert_int_equal(fealty_record_read(record->p, record->len, &r),
			 FEALTY_OK);
	assert_int_equal(fealty_proof(&fealty_device_port_openssl, &r, "burn",
			     challenge, sizeof(challenge), want), FEALTY_OK);
	assert_memory_equal(answer, want, 32);
}

/* The whole way through; returns how many frames went by. */
static int
whole_way(struct target_place *p, enum fault fault, int at)
{
	struct detail d = {""};
	unsigned char answer[32];
	struct target *t;
	int frames;

	wire_plug_in(&w, fault, at, HONEST);
	t = target_of(p, ",timeout=40ms,lock=yes");
	assert_int_equal(target_can(t), TARGET_PROVES | TARGET_LOCKS);
	assert_int_equal(target_proof(t), PROOF_DEVICE);
	if (target_ready(t, &d) != ERR_OK ||
	    target_write(t, ONE, &p->one, &d) != ERR_OK ||
	    target_prove(t, ONE, challenge, answer, &d) != ERR_OK ||
	    target_lock(t, ONE, &d) != ERR_OK)
		fail_msg("%s at frame %d: %s", wire_fault_names[fault], at, d.text);
	assert_proof(&p->one, answer);
	target_close(&t);
	wire_unplug(&w);
	frames = w.frames;
	assert_int_equal(w.dev.s.len, p->one.len);
	assert_memory_equal(w.dev.s.mem, p->one.p, p->one.len);
	/* once before the record, once behind it; nothing was done twice */
	assert_int_equal(w.dev.erased, 2);
	assert_int_equal(w.dev.written, (p->one.len + 239) / 240 + 1);
	assert_int_equal(w.dev.locks, 1);
	return frames;
}

static void
any_one_frame_lost_doubled_changed_cut_or_late_does_no_harm(void **state)
{
	struct target_place *p = *state;
	int frames = whole_way(p, NONE, -1), at;
	enum fault fault;

	assert_true(frames >= 14 && frames < FRAMES_MAX);
	for (fault = DROP; fault < NFAULTS; fault++)
		for (at = 0; at < frames; at++)
			(void)whole_way(p, fault, at);
}

/* What the step says of a device that lies. */
struct story {
	enum lie lie;
	enum err e;
	const char *says;
};

static enum err
prove_after_write(struct target_place *p, struct target *t,
		  unsigned char answer[32], struct detail *d)
{
	enum err e = target_ready(t, d);

	if (e == ERR_OK)
		e = target_write(t, ONE, &p->one, d);
	if (e == ERR_OK)
		e = target_prove(t, ONE, challenge, answer, d);
	return e;
}

static void
device_that_answers_wrongly_or_not_is_told_in_bounded_time(void **state)
{
	static const struct story stories[] = {
	    {SILENT, ERR_TIMEOUT, "does not answer: check power and cable"},
	    {BABBLES, ERR_TIMEOUT, "something else: check baud="},
	    {OTHER_VERSION, ERR_WRONG_STATE, "speaks version 7"},
	    {SHORT_PROOF, ERR_WRONG_STATE, "answers 8 octets, not 32"},
	    {FULL, ERR_IO, "cannot keep it"},
	    {BAD_HELLO, ERR_WRONG_STATE, "answers HELLO wrongly"},
	    {RESTARTS, ERR_OK, ""},
	};
	struct target_place *p = *state;
	unsigned char answer[32];
	struct target *t;
	struct detail d;
	int64_t end;
	size_t i;
	enum err e;

	for (i = 0; i < COUNT(stories); i++) {
		d.text[0] = '\0';
		wire_plug_in(&w, NONE, -1, stories[i].lie);
		end = clock_mono_ms(&clock_system) + 10000;
		t = target_of(p, ",timeout=50ms");
		e = prove_after_write(p, t, answer, &d);
		if (e != stories[i].e ||
		    strstr(d.text, stories[i].says) == NULL)
			fail_msg("%zu: %s \"%s\"", i, err_name(e), d.text);
		assert_true(clock_mono_ms(&clock_system) < end);
		if (e == ERR_OK)
			assert_proof(&p->one, answer);
		else
			assert_non_null(strstr(d.text, w.path));
		target_close(&t);
		wire_unplug(&w);
	}
}

/* It is the burn that compares, with the record in hand. */
static void
wrong_proof_is_handed_on_as_it_is(void **state)
{
	static const unsigned char zeros[32];
	struct target_place *p = *state;
	unsigned char answer[32];
	struct detail d = {""};
	struct target *t;

	wire_plug_in(&w, NONE, -1, WRONG_PROOF);
	t = target_of(p, "");
	assert_int_equal(prove_after_write(p, t, answer, &d), ERR_OK);
	assert_memory_equal(answer, zeros, 32);
	target_close(&t);
	wire_unplug(&w);
}

static void
device_of_another_identity_is_neither_overwritten_nor_locked(void **state)
{
	struct target_place *p = *state;
	unsigned char answer[32];
	struct detail d = {""};
	struct target *t;

	wire_plug_in(&w, NONE, -1, HONEST);
	t = target_of(p, ",lock=yes");
	assert_int_equal(target_prove(t, ONE, challenge, answer, &d),
			 ERR_NOT_FOUND);
	d.text[0] = '\0';
	assert_int_equal(target_write(t, ONE, &p->one, &d), ERR_OK);
	assert_int_equal(target_write(t, TWO, &p->two, &d), ERR_WRONG_STATE);
	assert_non_null(strstr(d.text, "already " ONE));
	assert_int_equal(target_prove(t, TWO, challenge, answer, NULL),
			 ERR_NOT_FOUND);
	assert_int_equal(target_lock(t, TWO, NULL), ERR_NOT_FOUND);
	assert_int_equal(w.dev.locks, 0);
	target_close(&t);
	t = target_of(p, ",replace=yes");
	assert_int_equal(target_write(t, TWO, &p->two, &d), ERR_OK);
	assert_int_equal(target_prove(t, TWO, challenge, answer, NULL),
			 ERR_OK);
	assert_proof(&p->two, answer);
	target_close(&t);
	wire_unplug(&w);
}

static void
locked_device_is_not_written_and_can_be_proven_again(void **state)
{
	struct target_place *p = *state;
	unsigned char answer[32];
	struct detail d = {""};
	struct target *t;

	wire_plug_in(&w, NONE, -1, HONEST);
	t = target_of(p, ",lock=yes,replace=yes");
	assert_int_equal(target_write(t, ONE, &p->one, &d), ERR_OK);
	assert_int_equal(target_lock(t, ONE, &d), ERR_OK);
	assert_int_equal(target_write(t, ONE, &p->one, &d), ERR_WRONG_STATE);
	assert_non_null(strstr(d.text, "is locked and is " ONE));
	assert_int_equal(target_prove(t, ONE, challenge, answer, NULL),
			 ERR_OK);
	assert_proof(&p->one, answer);
	assert_int_equal(target_lock(t, ONE, NULL), ERR_OK);
	assert_int_equal(w.dev.locks, 1);
	target_close(&t);
	wire_unplug(&w);
}

static void
wrong_unit_is_refused_before_a_key_is_released(void **state)
{
	struct target_place *p = *state;
	struct detail d = {""};
	struct target *t;

	wire_plug_in(&w, NONE, -1, HONEST);
	t = target_of(p, ",unit=SN0001");
	assert_int_equal(target_ready(t, &d), ERR_OK);
	target_close(&t);
	t = target_of(p, ",unit=SN0002");
	assert_int_equal(target_ready(t, &d), ERR_WRONG_STATE);
	assert_non_null(strstr(d.text, "is unit \"SN0001\""));
	target_close(&t);
	wire_unplug(&w);
}

static void
line_in_use_is_another_s(void **state)
{
	struct target_place *p = *state;
	struct target *t, *u;
	struct detail d = {""};

	wire_plug_in(&w, NONE, -1, HONEST);
	t = target_of(p, "");
	u = target_of(p, "");
	assert_int_equal(target_ready(t, &d), ERR_OK);
	assert_int_equal(target_ready(u, &d), ERR_CONFLICT);
	assert_non_null(strstr(d.text, "another program uses"));
	target_close(&t);
	assert_int_equal(target_ready(u, NULL), ERR_OK);
	target_close(&u);
	wire_unplug(&w);
}

static void
line_that_goes_is_told(void **state)
{
	struct target_place *p = *state;
	struct detail d = {""};
	struct target *t;

	wire_plug_in(&w, NONE, -1, HONEST);
	t = target_of(p, "");
	assert_int_equal(target_ready(t, &d), ERR_OK);
	wire_unplug(&w);
	assert_int_equal(target_write(t, ONE, &p->one, &d), ERR_IO);
	assert_non_null(strstr(d.text, "is gone: check the cable"));
	target_close(&t);
}

static void
options_that_mean_nothing_are_refused(void **state)
{
	struct target_place *p = *state;

	target_refused(p, "serial:", "name the serial line");
	target_refused(p, "serial:%/none", "/none: No such file");
	target_refused(p, "serial:%,baud=115200", "");
	target_refused(p, "serial:/dev/null", "no serial line");
	target_refused(p, "serial:/dev/null,baud=12345", "usual speeds");
	target_refused(p, "serial:/dev/null,timeout=0", "at most a minute");
	target_refused(p, "serial:/dev/null,timeout=2h", "at most a minute");
	target_refused(p, "serial:/dev/null,lock=maybe", "yes or no");
	target_refused(p, "serial:/dev/null,unit=", "1 to 64");
	target_refused(p, "serial:/dev/null,speed=1", "unknown option");
}

#define CASE(f) TARGET_CASE(f)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(any_one_frame_lost_doubled_changed_cut_or_late_does_no_harm),
	    CASE(device_that_answers_wrongly_or_not_is_told_in_bounded_time),
	    CASE(wrong_proof_is_handed_on_as_it_is),
	    CASE(device_of_another_identity_is_neither_overwritten_nor_locked),
	    CASE(locked_device_is_not_written_and_can_be_proven_again),
	    CASE(wrong_unit_is_refused_before_a_key_is_released),
	    CASE(line_in_use_is_another_s),
	    CASE(line_that_goes_is_told),
	    CASE(options_that_mean_nothing_are_refused),
	};

	return cmocka_run_group_tests_name("target serial", tests, NULL, NULL);
}
