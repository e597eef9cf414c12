#include <string.h>

#include "fealty/serial.h"
#include "octets.h"

#define CHALLENGE_LEN 32
#define NAME_MAX_LEN 64
/* WRITE: where, and then so many octets, of which all but the last piece of a
 * record have this many: a multiple of every flash's unit. */
#define WRITE_HEAD 2
#define WRITE_MAX 240

typedef enum fealty_serial_status status;

static status
from_fealty(enum fealty_status st)
{
	switch (st) {
	case FEALTY_OK:
		return FEALTY_S_OK;
	case FEALTY_E_RECORD:
		return FEALTY_S_RECORD;
	case FEALTY_E_MEDIUM:
		return FEALTY_S_MEDIUM;
	case FEALTY_E_PORT:
		return FEALTY_S_PORT;
	case FEALTY_E_ARG:
	case FEALTY_E_PEER:
	case FEALTY_E_SPACE:
		break;
	}
	return FEALTY_S_BAD;
}

static int
is_locked(const struct fealty_serial *s)
{
	const struct fealty_serial_conf *c = s->conf;

	return c->locked != NULL && c->locked(c->ctx);
}

/* A name with its length before it. */
static uint8_t *
put_name(uint8_t *at, const char *p, size_t len)
{
	if (len > NAME_MAX_LEN)
		len = NAME_MAX_LEN;
	*at++ = (uint8_t)len;
	memcpy(at, p, len);
	return at + len;
}

static status
do_hello(struct fealty_serial *s, const struct fealty_frame *f, size_t *outlen)
{
	const struct fealty_serial_conf *c = s->conf;
	uint8_t *out = s->reply + 1, *at = out;
	uint32_t flags = 0;

	if (f->len != 0)
		return FEALTY_S_BAD;
	if (s->len > 0)
		flags |= FEALTY_S_HAS_IDENTITY;
	if (is_locked(s))
		flags |= FEALTY_S_IS_LOCKED;
	if (c->lock != NULL)
		flags |= FEALTY_S_CAN_LOCK;
	*at++ = (uint8_t)flags;
	put16(at, WRITE_MAX);
	put16(at + 2, FEALTY_RECORD_MAX);
	put32(at + 4, s->len > 0 ? s->record.epoch : 0);
	at += 8;
	at = s->len > 0 ? put_name(at, s->record.device_id.p,
				   s->record.device_id.len)
			: put_name(at, "", 0);
	at = put_name(at, c->model, strlen(c->model));
	at = put_name(at, c->serial, strlen(c->serial));
	*outlen = (size_t)(at - out);
	return FEALTY_S_OK;
}

static status
do_begin(struct fealty_serial *s, const struct fealty_frame *f)
{
	enum fealty_status st;

	if (f->len != 6 || get16(f->payload) == 0 ||
	    get16(f->payload) > FEALTY_RECORD_MAX)
		return FEALTY_S_BAD;
	if (is_locked(s))
		return FEALTY_S_LOCKED;
	s->writing = 0;
	st = fealty_slots_clear(&s->slots);
	if (st != FEALTY_OK)
		return from_fealty(st);
	s->want = get16(f->payload);
	s->crc = get32(f->payload + 2);
	s->have = 0;
	s->writing = 1;
	return FEALTY_S_OK;
}

static status
do_write(struct fealty_serial *s, const struct fealty_frame *f)
{
	size_t n = f->len < WRITE_HEAD ? 0 : (size_t)f->len - WRITE_HEAD;
	enum fealty_status st;

	if (n == 0 || n > WRITE_MAX)
		return FEALTY_S_BAD;
	if (!s->writing || get16(f->payload) != s->have ||
	    n > (size_t)(s->want - s->have) ||
	    (n < WRITE_MAX && s->have + n != s->want))
		return FEALTY_S_ORDER;
	st = fealty_slots_put(&s->slots, s->have, f->payload + WRITE_HEAD, n);
	if (st == FEALTY_OK)
		s->have = (uint16_t)(s->have + n);
	else
		s->writing = 0;
	return from_fealty(st);
}

/* What is there now; whatever mem was used for. */
static void
reload(struct fealty_serial *s)
{
	if (fealty_slots_load(&s->slots, s->mem, &s->len, &s->record) !=
	    FEALTY_OK)
		s->len = 0;
}

static status
do_commit(struct fealty_serial *s, const struct fealty_frame *f)
{
	enum fealty_status st;

	if (f->len != 0)
		return FEALTY_S_BAD;
	if (!s->writing || s->have != s->want)
		return FEALTY_S_ORDER;
	if (is_locked(s))
		return FEALTY_S_LOCKED;
	s->writing = 0;
	st = fealty_slots_commit(&s->slots, s->crc, s->want, s->mem,
				 &s->record);
	if (st != FEALTY_OK) {
		(void)fealty_slots_clear(&s->slots);
		reload(s);
		return from_fealty(st);
	}
	s->len = s->want;
	return from_fealty(fealty_slots_clear(&s->slots));
}

static status
do_prove(struct fealty_serial *s, const struct fealty_frame *f, size_t *outlen)
{
	enum fealty_status st;

	if (f->len != CHALLENGE_LEN)
		return FEALTY_S_BAD;
	if (s->len == 0)
		return FEALTY_S_EMPTY;
	st = fealty_proof(s->conf->port, &s->record, "burn", f->payload,
			  f->len, s->reply + 1);
	if (st == FEALTY_OK)
		*outlen = 32;
	return from_fealty(st);
}

/* Names the device that is meant: a lock cannot be taken back. */
static status
do_lock(struct fealty_serial *s, const struct fealty_frame *f)
{
	const struct fealty_serial_conf *c = s->conf;

	if (c->lock == NULL || c->locked == NULL)
		return FEALTY_S_UNSUPPORTED;
	if (s->len == 0)
		return FEALTY_S_EMPTY;
	if (f->len != s->record.device_id.len ||
	    memcmp(f->payload, s->record.device_id.p, f->len) != 0)
		return FEALTY_S_OTHER;
	s->writing = 0;
	if (!c->locked(c->ctx) &&
	    (c->lock(c->ctx) != 0 || !c->locked(c->ctx)))
		return FEALTY_S_MEDIUM;
	return FEALTY_S_OK;
}

static status
do_request(struct fealty_serial *s, const struct fealty_frame *f,
	   size_t *outlen)
{
	const struct fealty_serial_conf *c = s->conf;

	switch (f->type) {
	case FEALTY_S_HELLO:
		return do_hello(s, f, outlen);
	case FEALTY_S_BEGIN:
		return do_begin(s, f);
	case FEALTY_S_WRITE:
		return do_write(s, f);
	case FEALTY_S_COMMIT:
		return do_commit(s, f);
	case FEALTY_S_PROVE:
		return do_prove(s, f, outlen);
	case FEALTY_S_LOCK:
		return do_lock(s, f);
	default:
		if (f->type < FEALTY_S_OWN || c->own == NULL)
			return FEALTY_S_UNSUPPORTED;
		return c->own(c->ctx, f, s->len > 0 ? &s->record : NULL,
			      s->reply + 1, outlen);
	}
}

static size_t
answer(struct fealty_serial *s, const struct fealty_frame *f, status st,
       size_t len)
{
	struct fealty_frame a = {
	    .version = FEALTY_SERIAL_VERSION,
	    .type = (uint8_t)(f->type | FEALTY_S_ANSWER),
	    .session = f->session,
	    .seq = f->seq,
	    .payload = s->reply,
	};

	if (len > FEALTY_PAYLOAD_MAX - 1)
		len = 0;
	s->reply[0] = (uint8_t)st;
	a.len = (uint16_t)(len + 1);
	return fealty_frame_write(&a, s->answer);
}

/*
 * A request again gets its answer again and does nothing; one of before, or
 * of another session, gets nothing: nobody waits for its answer any more.
 */
static size_t
take_frame(struct fealty_serial *s, const struct fealty_frame *f)
{
	uint16_t ahead = (uint16_t)(f->seq - s->seq);
	size_t len = 0;
	status st;

	if (f->type == 0 || f->type >= FEALTY_S_ANSWER)
		return 0;
	/* what is answered without a session is no answer to be repeated */
	if (f->version != FEALTY_SERIAL_VERSION) {
		s->open = 0;
		s->reply[1] = FEALTY_SERIAL_VERSION;
		return answer(s, f, FEALTY_S_VERSION, 1);
	}
	if (!s->open || f->session != s->session) {
		if (f->type != FEALTY_S_HELLO)
			return s->open ? 0 : answer(s, f, FEALTY_S_SESSION, 0);
		s->open = 1;
		s->session = f->session;
		s->writing = 0;
	} else if (ahead == 0 && f->type == s->type) {
		return s->answer_len;
	} else if (ahead != 1) {
		return 0;
	}
	s->seq = f->seq;
	s->type = f->type;
	st = do_request(s, f, &len);
	s->answer_len = answer(s, f, st, st == FEALTY_S_OK ? len : 0);
	return s->answer_len;
}

void
fealty_serial_start(struct fealty_serial *s,
		    const struct fealty_serial_conf *conf)
{
	memset(s, 0, sizeof(*s));
	s->conf = conf;
	s->slots.medium = conf->medium;
	reload(s);
}

size_t
fealty_serial_take(struct fealty_serial *s, uint8_t octet,
		   const uint8_t **out)
{
	struct fealty_frame f;
	size_t n;

	if (!fealty_line_take(&s->line, octet, &f))
		return 0;
	n = take_frame(s, &f);
	/* it may have held octets of a key */
	fealty_wipe(s->line.octets, sizeof(s->line.octets));
	*out = s->answer;
	return n;
}
