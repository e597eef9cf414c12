#ifndef PROVISION_SERIAL_LINE_H
#define PROVISION_SERIAL_LINE_H

#include <stdint.h>

#include <fealty/frame.h>
#include "lib/base/err.h"

/*
 * The station's end of the serial protocol (docs/serial-protocol.md): one
 * request after another, each sent until its answer comes or the tries are
 * used up.
 */
struct serial_conf {
	const char *device; /* a tty */
	unsigned baud;
	int timeout_ms; /* for the answer to one try, 1 to 60000 */
};
#define SERIAL_TRIES 5

struct serial_answer {
	enum fealty_serial_status status;
	size_t len;
	uint8_t octets[FEALTY_PAYLOAD_MAX]; /* behind the status */
};

/* Who is there; names NUL-terminated, "" for none. */
struct serial_hello {
	unsigned flags; /* FEALTY_S_HAS_IDENTITY, … */
	unsigned chunk; /* octets in a WRITE */
	unsigned most;	/* octets in a record */
	char device_id[65], model[65], unit[65];
};
/* 1 if the answer to HELLO is well-formed. */
int serial_hello_decode(const struct serial_answer *a, struct serial_hello *h);

struct serial_line;
/* Opens the tty and makes it raw. ERR_REQUEST with d. */
enum err serial_open(const struct serial_conf *conf, struct serial_line **out,
		     struct detail *d) MUST_CHECK;
/* 1 if the device knows that speed. */
int serial_knows_baud(unsigned baud);
/*
 * Takes the line for this process alone, and begins a session. ERR_CONFLICT:
 * another process has it. Otherwise as serial_ask.
 */
enum err serial_hello(struct serial_line *l, struct serial_hello *h,
		      struct detail *d) MUST_CHECK;
/*
 * A request in the session. ERR_OK: *a is its answer, whatever its status.
 * ERR_TIMEOUT: none came (d says whether anything did). ERR_NETWORK: the
 * device has lost the session, it has started again: begin anew.
 * ERR_WRONG_STATE: it speaks another version. ERR_IO: the line is gone.
 */
enum err serial_ask(struct serial_line *l, enum fealty_serial_type type,
		    const void *p, size_t len, struct serial_answer *a,
		    struct detail *d) MUST_CHECK;
void serial_close(struct serial_line **l);

#endif
