#ifndef TESTS_SERIAL_WIRE_H
#define TESTS_SERIAL_WIRE_H

#include <pthread.h>

#include "tests/helpers/serial_device.h"

/*
 * A device in memory behind a pty, on a thread of its own: what befalls its
 * frames on the way, and what it answers in place of the truth. Failures fail
 * the test.
 */
enum fault { NONE, DROP, DOUBLE, CORRUPT, TRUNCATE, LATE, NOISE, NFAULTS };
extern const char *const wire_fault_names[NFAULTS];

enum lie {
	HONEST,
	SILENT,
	BABBLES,	/* without end, and never a frame */
	OTHER_VERSION,
	WRONG_PROOF,
	SHORT_PROOF,
	NO_PROOF,	/* silent when it is to prove */
	FULL,		/* the medium takes nothing */
	BAD_HELLO,
	RESTARTS	/* once, before the second chunk */
};

struct wire {
	pthread_t thread;
	int master, stop[2];
	int slave; /* kept open: a master without a slave hangs up */
	char path[64]; /* of the station's end */
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
};
/* at: which frame, -1 for none. w->dev is a new one. */
void wire_plug_in(struct wire *w, enum fault fault, int at, enum lie lie);
void wire_unplug(struct wire *w);

#endif
