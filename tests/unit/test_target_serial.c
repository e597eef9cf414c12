/*
 * serial:DEVICE with the device's own code behind a pty: whatever happens to
 * any one frame, either way, the record arrives once; and a device that
 * answers wrongly, late or not at all costs a bounded time and is told in one
 * line.
 */
#include "tests/unit/target_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <fealty/device_openssl.h>
#include "lib/base/clock.h"
#include "tests/helpers/serial_device.h"

enum fault { NONE, DROP, DOUBLE, CORRUPT, TRUNCATE, LATE, NOISE, NFAULTS };
static const char *const fault_names[NFAULTS] = {
    "none", "drop", "double", "corrupt", "truncate", "late", "noise"};

enum lie {
	HONEST,
	SILENT,
	BABBLES,	/* without end, and never a frame */
	OTHER_VERSION,
	WRONG_PROOF,
	SHORT_PROOF,
	FULL,		/* the medium takes nothing */
	BAD_HELLO,
	RESTARTS	/* once, before the second chunk */
};

#define FRAMES_MAX 64
static struct wire {
	pthread_t thread;
	int master, stop[2];
	char path[64];
	struct serial_device dev;
	/* faults */
	enum fault fault;
	int at;	     /* frame, both ways counted together, from 0 */
	int frames;  /* seen */
	enum lie lie;
	uint8_t held[FEALTY_FRAME_MAX]; /* a late frame */
	size_t held_len;
	int held_up; /* towards the station */
	struct fealty_line in;
	uint8_t raw[FEALTY_FRAME_MAX];
	size_t raw_len;
} w;

static void
to_station(const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len > 0 && (n = write(w.master, p, len)) > 0) {
		p += n;
		len -= (size_t)n;
	}
}

static void carry(const uint8_t *p, size_t len, int up);

/* An answer of our own making, in place of the device's. */
static void
forge(const struct fealty_frame *q, const void *payload, size_t len,
      uint8_t version)
{
	struct fealty_frame a = {version, q->type | FEALTY_S_ANSWER,
				 q->session, q->seq, (uint16_t)len, payload};
	uint8_t out[FEALTY_FRAME_MAX];

	to_station(out, fealty_frame_write(&a, out));
}

/* 1 when the device's own answer is not to be. */
static int
lied(const struct fealty_frame *q)
{
	static const uint8_t zeros[33], version[2] = {FEALTY_S_VERSION, 7};
	static const uint8_t medium[1] = {FEALTY_S_MEDIUM};
	static const uint8_t hello[4] = {0, 9, 9, 9};

	switch (w.lie) {
	case SILENT:
		return 1;
	case OTHER_VERSION:
		forge(q, version, sizeof(version), 1);
		return 1;
	case WRONG_PROOF:
	case SHORT_PROOF:
		if (q->type != FEALTY_S_PROVE)
			return 0;
		forge(q, zeros, w.lie == WRONG_PROOF ? 33 : 9, 1);
		return 1;
	case FULL:
		if (q->type != FEALTY_S_WRITE)
			return 0;
		forge(q, medium, sizeof(medium), 1);
		return 1;
	case BAD_HELLO:
		forge(q, hello, sizeof(hello), 1);
		return 1;
	case RESTARTS:
		if (q->type == FEALTY_S_COMMIT) {
			w.lie = HONEST;
			serial_device_start(&w.dev);
		}
		return 0;
	default:
		return 0;
	}
}

static void
deliver(const uint8_t *p, size_t len, int up)
{
	uint8_t out[8 * FEALTY_FRAME_MAX];
	struct fealty_frame f;
	size_t i, n;

	if (up) {
		to_station(p, len);
		return;
	}
	for (i = 0; i < len; i++) {
		if (fealty_line_take(&w.in, p[i], &f) && lied(&f))
			return;
	}
	n = serial_device_hear(&w.dev, p, len, out, sizeof(out));
	if (n > 0)
		carry(out, n, 1);
}

/* One frame on its way, and what befalls it. */
static void
carry(const uint8_t *p, size_t len, int up)
{
	static const uint8_t noise[] = "\0\0boot 1.2.3\r\nready\r\n\377\1\2";
	uint8_t copy[FEALTY_FRAME_MAX];
	int hit = w.frames++ == w.at;
	enum fault fault = hit ? w.fault : NONE;

	memcpy(copy, p, len);
	switch (fault) {
	case DROP:
		return;
	case LATE:
		memcpy(w.held, p, len);
		w.held_len = len;
		w.held_up = up;
		return;
	case CORRUPT:
		copy[len / 2] ^= 0x20;
		break;
	case TRUNCATE:
		len = len / 2;
		break;
	case NOISE:
		deliver(noise, sizeof(noise), up);
		break;
	case DOUBLE:
		deliver(copy, len, up);
		break;
	default:
		break;
	}
	deliver(copy, len, up);
	/* the late one, two frames after its time */
	if (w.held_len > 0 && w.frames > w.at + 2) {
		len = w.held_len;
		w.held_len = 0;
		deliver(w.held, len, w.held_up);
	}
}

/* Cuts what the station sends into its frames: 00 … 00. */
static void
from_station(uint8_t octet)
{
	if (w.raw_len == sizeof(w.raw))
		w.raw_len = 0;
	w.raw[w.raw_len++] = octet;
	if (octet != 0 || w.raw_len == 1)
		return;
	carry(w.raw, w.raw_len, 0);
	w.raw_len = 0;
}

static void *
live(void *arg)
{
	struct pollfd p[2] = {{w.master, POLLIN, 0}, {w.stop[0], POLLIN, 0}};
	uint8_t in[256];
	ssize_t n, i;

	while (poll(p, 2, w.lie == BABBLES ? 1 : -1) >= 0) {
		if (p[1].revents != 0)
			return arg;
		if (w.lie == BABBLES)
			to_station((const uint8_t *)"\377babble", 7);
		if ((p[0].revents & POLLIN) == 0)
			continue;
		n = read(w.master, in, sizeof(in));
		for (i = 0; i < n && w.lie != BABBLES; i++)
			from_station(in[i]);
	}
	return arg;
}

static void
plug_in(enum fault fault, int at, enum lie lie)
{
	struct termios t;
	int slave;

	memset(&w, 0, sizeof(w));
	serial_device_make(&w.dev);
	w.fault = fault;
	w.at = at;
	w.lie = lie;
	w.master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(w.master >= 0);
	assert_int_equal(grantpt(w.master), 0);
	assert_int_equal(unlockpt(w.master), 0);
	assert_int_equal(ptsname_r(w.master, w.path, sizeof(w.path)), 0);
	/* raw from the start: nothing of the device's is echoed */
	slave = open(w.path, O_RDWR | O_NOCTTY);
	assert_int_equal(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(slave, TCSANOW, &t), 0);
	w.stop[1] = slave; /* kept open: a master without a slave hangs up */
	assert_int_equal(pipe(w.stop), 0);
	assert_int_equal(pthread_create(&w.thread, NULL, live, NULL), 0);
	(void)close(slave);
}

static void
unplug(void)
{
	assert_int_equal(write(w.stop[1], "x", 1), 1);
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	(void)close(w.stop[0]);
	(void)close(w.stop[1]);
	(void)close(w.master);
}

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

	plug_in(fault, at, HONEST);
	t = target_of(p, ",timeout=40ms,lock=yes");
	assert_int_equal(target_can(t), TARGET_PROVES | TARGET_LOCKS);
	assert_int_equal(target_proof(t), PROOF_DEVICE);
	if (target_ready(t, &d) != ERR_OK ||
	    target_write(t, ONE, &p->one, &d) != ERR_OK ||
	    target_prove(t, ONE, challenge, answer, &d) != ERR_OK ||
	    target_lock(t, ONE, &d) != ERR_OK)
		fail_msg("%s at frame %d: %s", fault_names[fault], at, d.text);
	assert_proof(&p->one, answer);
	target_close(&t);
	unplug();
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
		plug_in(NONE, -1, stories[i].lie);
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
		unplug();
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

	plug_in(NONE, -1, WRONG_PROOF);
	t = target_of(p, "");
	assert_int_equal(prove_after_write(p, t, answer, &d), ERR_OK);
	assert_memory_equal(answer, zeros, 32);
	target_close(&t);
	unplug();
}

static void
device_of_another_identity_is_neither_overwritten_nor_locked(void **state)
{
	struct target_place *p = *state;
	unsigned char answer[32];
	struct detail d = {""};
	struct target *t;

	plug_in(NONE, -1, HONEST);
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
	unplug();
}

static void
locked_device_is_not_written_and_can_be_proven_again(void **state)
{
	struct target_place *p = *state;
	unsigned char answer[32];
	struct detail d = {""};
	struct target *t;

	plug_in(NONE, -1, HONEST);
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
	unplug();
}

static void
wrong_unit_is_refused_before_a_key_is_released(void **state)
{
	struct target_place *p = *state;
	struct detail d = {""};
	struct target *t;

	plug_in(NONE, -1, HONEST);
	t = target_of(p, ",unit=SN0001");
	assert_int_equal(target_ready(t, &d), ERR_OK);
	target_close(&t);
	t = target_of(p, ",unit=SN0002");
	assert_int_equal(target_ready(t, &d), ERR_WRONG_STATE);
	assert_non_null(strstr(d.text, "is unit \"SN0001\""));
	target_close(&t);
	unplug();
}

static void
line_in_use_is_another_s(void **state)
{
	struct target_place *p = *state;
	struct target *t, *u;
	struct detail d = {""};

	plug_in(NONE, -1, HONEST);
	t = target_of(p, "");
	u = target_of(p, "");
	assert_int_equal(target_ready(t, &d), ERR_OK);
	assert_int_equal(target_ready(u, &d), ERR_CONFLICT);
	assert_non_null(strstr(d.text, "another program uses"));
	target_close(&t);
	assert_int_equal(target_ready(u, NULL), ERR_OK);
	target_close(&u);
	unplug();
}

static void
line_that_goes_is_told(void **state)
{
	struct target_place *p = *state;
	struct detail d = {""};
	struct target *t;

	plug_in(NONE, -1, HONEST);
	t = target_of(p, "");
	assert_int_equal(target_ready(t, &d), ERR_OK);
	unplug();
	assert_int_equal(target_write(t, ONE, &p->one, &d), ERR_IO);
	assert_non_null(strstr(d.text, "is gone: check the cable"));
	target_close(&t);
}

static void
options_that_mean_nothing_are_refused(void **state)
{
	struct target_place *p = *state;

	target_refused(p, "serial:", "name the serial line");
	target_refused(p, "serial:%/none", "name the serial line");
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
