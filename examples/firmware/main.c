/*
 * A device as small as they come: it keeps its identity through any loss of
 * power, is provisioned over its UART, and makes client assertions without a
 * clock. docs/serial-protocol.md; examples/firmware/README.md.
 */
#include <string.h>

#include <fealty/serial.h>
#include "board.h"
#include "sha256.h"

/*
 * This firmware's own requests:
 *   40 nonce      a new assertion with that nonce, or by the clock if it is
 *                 empty; answer: its length, u16
 *   41 offset u16 the assertion from there on, at most 240 octets
 *   42            starts, clock, stack used by a request: u32 each
 */
#define ASSERT FEALTY_S_OWN
#define FETCH (FEALTY_S_OWN + 1)
#define STATUS (FEALTY_S_OWN + 2)
#define PIECE 240

static struct fealty_serial serial;
static char assertion[FEALTY_ASSERTION_SIZE];
static size_t assertion_len;
static uint32_t draws, stack_most;

static uint8_t *
put32(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 24);
	at[1] = (uint8_t)(v >> 16);
	at[2] = (uint8_t)(v >> 8);
	at[3] = (uint8_t)v;
	return at + 4;
}

/*
 * There is no source of noise on this board. What is derived from K for this
 * alone, with a count that is never the same twice: nobody without K can tell
 * it from random, and no value comes twice. That does for the jti of an
 * assertion. It would not do for the ephemeral keys of TLS: whoever learns K
 * later could compute them (README.md).
 */
static int
port_random(void *ctx, uint8_t *out, size_t len)
{
	static const struct fealty_device_port hmac = {sha256_hmac, NULL, NULL};
	uint8_t drawn[FEALTY_KEY_LEN], count[8], letters[16];
	unsigned i;

	(void)ctx;
	if (serial.len == 0 || board_starts() == 0 || len > sizeof(drawn) ||
	    draws == UINT32_MAX)
		return -1;
	(void)put32(put32(count, board_starts()), ++draws);
	/* a context holds no zero octet */
	for (i = 0; i < sizeof(letters); i++)
		letters[i] = (uint8_t)('A' + (count[i / 2] >> (i % 2 * 4) &
					      15));
	if (fealty_derive(&hmac, &serial.record, "board-random", letters,
			  sizeof(letters), drawn) != FEALTY_OK)
		return -1;
	memcpy(out, drawn, len);
	fealty_wipe(drawn, sizeof(drawn));
	return 0;
}

static const struct fealty_device_port port = {sha256_hmac, port_random, NULL};

static enum fealty_serial_status
make_assertion(const struct fealty_frame *q, const struct fealty_record *r,
	       uint8_t *out, size_t *outlen)
{
	struct fealty_assertion a = {.now = board_clock() + 1, .life = 60};
	char nonce[FEALTY_NONCE_MAX + 1];

	if (r == NULL)
		return FEALTY_S_EMPTY;
	if (q->len > FEALTY_NONCE_MAX)
		return FEALTY_S_BAD;
	memcpy(nonce, q->payload, q->len);
	nonce[q->len] = '\0';
	if (q->len > 0)
		a.nonce = nonce;
	assertion_len = 0;
	if (fealty_assertion(&port, r, &a, assertion, sizeof(assertion),
			     &assertion_len) != FEALTY_OK)
		return FEALTY_S_PORT;
	out[0] = (uint8_t)(assertion_len >> 8);
	out[1] = (uint8_t)assertion_len;
	*outlen = 2;
	return FEALTY_S_OK;
}

static enum fealty_serial_status
own(void *ctx, const struct fealty_frame *q, const struct fealty_record *r,
    uint8_t *out, size_t *outlen)
{
	size_t at, n;

	(void)ctx;
	switch (q->type) {
	case ASSERT:
		return make_assertion(q, r, out, outlen);
	case FETCH:
		if (q->len != 2)
			return FEALTY_S_BAD;
		at = (size_t)(q->payload[0] << 8 | q->payload[1]);
		if (at > assertion_len)
			return FEALTY_S_ORDER;
		n = assertion_len - at < PIECE ? assertion_len - at : PIECE;
		memcpy(out, assertion + at, n);
		*outlen = n;
		return FEALTY_S_OK;
	case STATUS:
		(void)put32(put32(put32(out, board_starts()),
				  (uint32_t)board_clock()),
			    stack_most);
		*outlen = 12;
		return FEALTY_S_OK;
	default:
		return FEALTY_S_UNSUPPORTED;
	}
}

int
main(void)
{
	static struct fealty_serial_conf conf = {
	    .medium = &board_medium,
	    .port = &port,
	    .model = "an385",
	    .locked = board_is_locked,
	    .lock = board_lock,
	    .own = own,
	};
	const uint8_t *answer = NULL;
	uint32_t used;
	size_t n;
	uint8_t octet;

	board_start();
	conf.serial = board_serial();
	fealty_serial_start(&serial, &conf);
	for (;;) {
		octet = board_uart_take();
		if (octet == 0)
			board_stack_mark();
		n = fealty_serial_take(&serial, octet, &answer);
		used = octet == 0 ? board_stack_used() : 0;
		if (used > stack_most)
			stack_most = used;
		board_uart_put(answer, n);
	}
}
