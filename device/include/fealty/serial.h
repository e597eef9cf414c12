#ifndef FEALTY_SERIAL_H
#define FEALTY_SERIAL_H

#include <fealty/frame.h>
#include <fealty/slots.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The device's side of the serial protocol (docs/serial-protocol.md): a
 * station writes an identity record over a UART, has the device prove it,
 * and may lock it. The root key never leaves by this way, locked or not.
 */
struct fealty_serial_conf {
	const struct fealty_medium *medium;
	const struct fealty_device_port *port;
	const char *model;  /* for the station to see; at most 64 characters */
	const char *serial; /* the unit's own serial number, likewise */
	/*
	 * Is it locked; lock it, for good. 0 for success. Both NULL: this
	 * firmware cannot be locked.
	 */
	int (*locked)(void *ctx);
	int (*lock)(void *ctx);
	/*
	 * Requests 40 to 7f (hexadecimal), or NULL: what the answer holds
	 * behind its status goes to out, at most FEALTY_PAYLOAD_MAX - 1
	 * octets; *outlen is 0 before. r is NULL while there is no identity.
	 */
	enum fealty_serial_status (*own)(void *ctx,
					 const struct fealty_frame *request,
					 const struct fealty_record *r,
					 uint8_t *out, size_t *outlen);
	void *ctx;
};

/* About 5 KB, best static; the firmware reads record, and only while len > 0 */
struct fealty_serial {
	const struct fealty_serial_conf *conf;
	struct fealty_slots slots;
	struct fealty_record record; /* points into mem */
	size_t len;		     /* of the record; 0: none */
	uint8_t mem[FEALTY_RECORD_MAX];
	/* the session */
	int open;
	uint32_t session;
	uint16_t seq;  /* of the last request */
	uint8_t type;  /* likewise */
	int writing;   /* begun, not yet committed */
	uint16_t want; /* octets of the record that was begun */
	uint16_t have;
	uint32_t crc;
	/* the line */
	struct fealty_line line;
	uint8_t reply[FEALTY_PAYLOAD_MAX];
	uint8_t answer[FEALTY_FRAME_MAX];
	size_t answer_len;
};

/* At the start: loads the identity, if there is one. */
void fealty_serial_start(struct fealty_serial *s,
			 const struct fealty_serial_conf *conf);
/*
 * One octet from the line. The number of octets to send, which are then at
 * *answer until the next call; mostly 0.
 */
size_t fealty_serial_take(struct fealty_serial *s, uint8_t octet,
			  const uint8_t **answer);

#ifdef __cplusplus
}
#endif
#endif
