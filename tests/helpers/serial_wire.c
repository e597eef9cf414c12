#include "tests/helpers/serial_wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tests/unit/unit.h"

const char *const wire_fault_names[NFAULTS] = {
    "none", "drop", "double", "corrupt", "truncate", "late", "noise"};

static void
to_station(struct wire *w, const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len > 0 && (n = write(w->master, p, len)) > 0) {
		p += n;
		len -= (size_t)n;
	}
}

static void carry(struct wire *w, const uint8_t *p, size_t len, int up);

/* An answer of our own making, in place of the device's. */
static void
forge(struct wire *w, const struct fealty_frame *q, const void *payload,
      size_t len, uint8_t version)
{
	struct fealty_frame a = {version, q->type | FEALTY_S_ANSWER,
				 q->session, q->seq, (uint16_t)len, payload};
	uint8_t out[FEALTY_FRAME_MAX];

	to_station(w, out, fealty_frame_write(&a, out));
}

/* 1 when the device's own answer is not to be. */
static int
lied(struct wire *w, const struct fealty_frame *q)
{
	static const uint8_t zeros[33], version[2] = {FEALTY_S_VERSION, 7};
	static const uint8_t medium[1] = {FEALTY_S_MEDIUM};
	static const uint8_t hello[4] = {0, 9, 9, 9};

	switch (w->lie) {
	case SILENT:
		return 1;
	case NO_PROOF:
		return q->type == FEALTY_S_PROVE;
	case OTHER_VERSION:
		forge(w, q, version, sizeof(version), 1);
		return 1;
	case WRONG_PROOF:
	case SHORT_PROOF:
		if (q->type != FEALTY_S_PROVE)
			return 0;
		forge(w, q, zeros, w->lie == WRONG_PROOF ? 33 : 9, 1);
		return 1;
	case FULL:
		if (q->type != FEALTY_S_WRITE)
			return 0;
		forge(w, q, medium, sizeof(medium), 1);
		return 1;
	case BAD_HELLO:
		forge(w, q, hello, sizeof(hello), 1);
		return 1;
	case RESTARTS:
		if (q->type == FEALTY_S_COMMIT) {
			w->lie = HONEST;
			serial_device_start(&w->dev);
		}
		return 0;
	default:
		return 0;
	}
}

static void
deliver(struct wire *w, const uint8_t *p, size_t len, int up)
{
	uint8_t out[8 * FEALTY_FRAME_MAX];
	struct fealty_frame f;
	size_t i, n;

	if (up) {
		to_station(w, p, len);
		return;
	}
	for (i = 0; i < len; i++) {
		if (fealty_line_take(&w->in, p[i], &f) && lied(w, &f))
			return;
	}
	n = serial_device_hear(&w->dev, p, len, out, sizeof(out));
	if (n > 0)
		carry(w, out, n, 1);
}

/* One frame on its way, and what befalls it. */
static void
carry(struct wire *w, const uint8_t *p, size_t len, int up)
{
	static const uint8_t noise[] = "\0\0boot 1.2.3\r\nready\r\n\377\1\2";
	uint8_t copy[FEALTY_FRAME_MAX];
	int hit = w->frames++ == w->at;
	enum fault fault = hit ? w->fault : NONE;

	memcpy(copy, p, len);
	switch (fault) {
	case DROP:
		return;
	case LATE:
		memcpy(w->held, p, len);
		w->held_len = len;
		w->held_up = up;
		return;
	case CORRUPT:
		copy[len / 2] ^= 0x20;
		break;
	case TRUNCATE:
		len = len / 2;
		break;
	case NOISE:
		deliver(w, noise, sizeof(noise), up);
		break;
	case DOUBLE:
		deliver(w, copy, len, up);
		break;
	default:
		break;
	}
	deliver(w, copy, len, up);
	/* the late one, two frames after its time */
	if (w->held_len > 0 && w->frames > w->at + 2) {
		len = w->held_len;
		w->held_len = 0;
		deliver(w, w->held, len, w->held_up);
	}
}

/* Cuts what the station sends into its frames: 00 … 00. */
static void
from_station(struct wire *w, uint8_t octet)
{
	if (w->raw_len == sizeof(w->raw))
		w->raw_len = 0;
	w->raw[w->raw_len++] = octet;
	if (octet != 0 || w->raw_len == 1)
		return;
	carry(w, w->raw, w->raw_len, 0);
	w->raw_len = 0;
}

static void *
live(void *arg)
{
	struct wire *w = arg;
	struct pollfd p[2] = {{w->master, POLLIN, 0}, {w->stop[0], POLLIN, 0}};
	uint8_t in[256];
	ssize_t n, i;

	while (poll(p, 2, w->lie == BABBLES ? 1 : -1) >= 0) {
		if (p[1].revents != 0)
			return arg;
		if (w->lie == BABBLES)
			to_station(w, (const uint8_t *)"\377babble", 7);
		if ((p[0].revents & POLLIN) == 0)
			continue;
		n = read(w->master, in, sizeof(in));
		for (i = 0; i < n && w->lie != BABBLES; i++)
			from_station(w, in[i]);
	}
	return arg;
}

void
wire_plug_in(struct wire *w, enum fault fault, int at, enum lie lie)
{
	struct termios t;

	memset(w, 0, sizeof(*w));
	serial_device_make(&w->dev);
	w->fault = fault;
	w->at = at;
	w->lie = lie;
	w->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(w->master >= 0);
	assert_int_equal(grantpt(w->master), 0);
	assert_int_equal(unlockpt(w->master), 0);
	assert_int_equal(ptsname_r(w->master, w->path, sizeof(w->path)), 0);
	/* raw from the start: nothing of the device's is echoed */
	w->slave = open(w->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(tcgetattr(w->slave, &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(w->slave, TCSANOW, &t), 0);
	assert_int_equal(pipe2(w->stop, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, live, w), 0);
}

void
wire_unplug(struct wire *w)
{
	assert_int_equal(write(w->stop[1], "x", 1), 1);
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	(void)close(w->stop[0]);
	(void)close(w->stop[1]);
	(void)close(w->slave);
	(void)close(w->master);
}
