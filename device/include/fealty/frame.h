#ifndef FEALTY_FRAME_H
#define FEALTY_FRAME_H

#include <fealty/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The frames of the serial protocol (docs/serial-protocol.md), the same for
 * both ends of the line:
 *   00 COBS(version type u32 session u16 seq u16 len, payload, u32 crc) 00
 * Numbers are big-endian; the CRC-32 covers every octet before it.
 */
#define FEALTY_SERIAL_VERSION 1
#define FEALTY_PAYLOAD_MAX 256
#define FEALTY_BODY_MAX (10 + FEALTY_PAYLOAD_MAX + 4)
#define FEALTY_COBS_MAX (FEALTY_BODY_MAX + FEALTY_BODY_MAX / 254 + 1)
#define FEALTY_FRAME_MAX (FEALTY_COBS_MAX + 2)

enum fealty_serial_type {
	FEALTY_S_HELLO = 1,
	FEALTY_S_BEGIN = 2,
	FEALTY_S_WRITE = 3,
	FEALTY_S_COMMIT = 4,
	FEALTY_S_PROVE = 5,
	FEALTY_S_LOCK = 6,
	FEALTY_S_OWN = 0x40,	/* to 7f: the firmware's own */
	FEALTY_S_ANSWER = 0x80	/* added to the request's type */
};
/* The first octet of an answer's payload. */
enum fealty_serial_status {
	FEALTY_S_OK = 0,
	FEALTY_S_BAD = 1,	  /* the request is malformed */
	FEALTY_S_SESSION = 2,	  /* no such session: say hello */
	FEALTY_S_ORDER = 3,	  /* not now: BEGIN first, no gaps */
	FEALTY_S_RECORD = 4,	  /* what arrived is not that record */
	FEALTY_S_MEDIUM = 5,	  /* the device cannot keep it */
	FEALTY_S_LOCKED = 6,	  /* locked: nothing is written any more */
	FEALTY_S_EMPTY = 7,	  /* the device holds no identity */
	FEALTY_S_UNSUPPORTED = 8, /* no such request here */
	FEALTY_S_PORT = 9,	  /* the device's HMAC failed */
	FEALTY_S_OTHER = 10,	  /* the device is another than named */
	FEALTY_S_VERSION = 11	  /* a second octet names the version */
};
/* Bits of the flags in the answer to HELLO. */
#define FEALTY_S_HAS_IDENTITY 1
#define FEALTY_S_IS_LOCKED 2
#define FEALTY_S_CAN_LOCK 4

struct fealty_frame {
	uint8_t version;
	uint8_t type;
	uint32_t session;
	uint16_t seq;
	uint16_t len;
	const uint8_t *payload;
};

/*
 * Frames out of a stream of octets. {0} is a line at its start, where the
 * first frame may come without a 00 before it. Whatever is no frame is passed
 * over, up to the next 00; nothing is ever larger than this.
 */
struct fealty_line {
	uint8_t octets[FEALTY_COBS_MAX];
	size_t len;
	int overlong;
};
/*
 * 1 when octet ends a frame: *out then points into l until the next call.
 * Any version is given out; the caller looks at it.
 */
int fealty_line_take(struct fealty_line *l, uint8_t octet,
		     struct fealty_frame *out);
/* f to out; the number of octets. FEALTY_PAYLOAD_MAX is not exceeded: 0. */
size_t fealty_frame_write(const struct fealty_frame *f,
			  uint8_t out[FEALTY_FRAME_MAX]);

#ifdef __cplusplus
}
#endif
#endif
