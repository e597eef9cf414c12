#include "provision-tool/target.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "provision-tool/crc.h"
#include "provision-tool/serial_line.h"
#include "provision-tool/spec.h"

/*
 * A device on a UART that speaks the serial protocol
 * (docs/serial-protocol.md). It answers the challenge itself; what it holds
 * cannot be read back, by anyone.
 */
#define BAUD 115200
#define TIMEOUT_MS 1000
#define TIMEOUT_MAX_MS 60000
#define ANSWER_LEN 32
/* A device that starts again in the middle of a step: so often. */
#define ROUNDS 3

struct port {
	struct serial_line *line;
	char unit[65]; /* the unit's own serial number; "" any */
	int replace, lock;
	char name[PATH_MAX];
};

enum { BAUD_OPT, TIMEOUT_OPT, UNIT, REPLACE, LOCK, NOPTS };

static void
serial_target_close(void *state)
{
	struct port *p = state;

	serial_close(&p->line);
	free(p);
}

static enum err
take_options(struct port *p, const struct spec_opt *o, struct serial_conf *c,
	     struct detail *d)
{
	uint64_t ms = TIMEOUT_MS, baud = BAUD;

	if (o[BAUD_OPT].value != NULL &&
	    (parse_u64(o[BAUD_OPT].value, 4000000, &baud) != ERR_OK ||
	     !serial_knows_baud((unsigned)baud)))
		return spec_wrong(d, "baud= is one of the usual speeds, 9600 "
				     "to 1000000");
	if (o[TIMEOUT_OPT].value != NULL &&
	    (parse_duration_ms(o[TIMEOUT_OPT].value, TIMEOUT_MAX_MS, &ms) !=
		 ERR_OK ||
	     ms == 0))
		return spec_wrong(d, "timeout= is such as 500ms or 5s, at "
				     "most a minute");
	if (o[UNIT].value != NULL &&
	    (o[UNIT].value[0] == '\0' ||
	     copy_str(p->unit, sizeof(p->unit), o[UNIT].value) != ERR_OK))
		return spec_wrong(d, "unit= is 1 to 64 characters");
	c->baud = (unsigned)baud;
	c->timeout_ms = (int)ms;
	if (spec_yes(&o[REPLACE], &p->replace, d) != ERR_OK)
		return ERR_REQUEST;
	return spec_yes(&o[LOCK], &p->lock, d);
}

static enum err
serial_target_open(const char *rest, void **state, struct detail *d)
{
	struct spec_opt opts[NOPTS] = {
	    [BAUD_OPT] = {"baud", NULL},
	    [TIMEOUT_OPT] = {"timeout", NULL},
	    [UNIT] = {"unit", NULL},
	    [REPLACE] = {"replace", NULL},
	    [LOCK] = {"lock", NULL},
	};
	struct serial_conf conf = {0};
	struct port *p = NULL;
	char *s = NULL;
	enum err e = ERR_NOMEM;

	s = strdup(rest);
	p = calloc(1, sizeof(*p));
	if (s == NULL || p == NULL)
		goto out;
	if ((e = spec_split(s, opts, NOPTS, d)) != ERR_OK)
		goto out;
	if ((e = take_options(p, opts, &conf, d)) != ERR_OK)
		goto out;
	e = ERR_REQUEST;
	if (*s == '\0') {
		detail_set(d, "name the serial line: serial:/dev/ttyUSB0");
		goto out;
	}
	if (realpath(s, p->name) == NULL) {
		detail_set(d, "serial line %.100s: %s", s, strerror(errno));
		goto out;
	}
	conf.device = p->name;
	if ((e = serial_open(&conf, &p->line, d)) != ERR_OK)
		goto out;
	*state = p;
	p = NULL;
	e = ERR_OK;
out:
	if (p != NULL)
		serial_target_close(p);
	free(s);
	return e;
}

static const char *
serial_target_name(const void *state)
{
	const struct port *p = state;

	return p->name;
}

static unsigned
serial_target_can(const void *state)
{
	const struct port *p = state;

	return TARGET_PROVES | (p->lock ? TARGET_LOCKS : 0u);
}

/* A session with the device that is meant. */
static enum err
greet(struct port *p, struct serial_hello *h, struct detail *d)
{
	enum err e;

	if ((e = serial_hello(p->line, h, d)) != ERR_OK)
		return e;
	if (p->unit[0] != '\0' && strcmp(p->unit, h->unit) != 0) {
		detail_set(d, "the device on %.60s is unit \"%.64s\", not the "
			      "one of unit=",
			   p->name, h->unit);
		return ERR_WRONG_STATE;
	}
	if (p->lock && (h->flags & FEALTY_S_CAN_LOCK) == 0) {
		detail_set(d, "the device on %.100s cannot be locked: leave "
			      "out lock=",
			   p->name);
		return ERR_WRONG_STATE;
	}
	return ERR_OK;
}

/* What a status that is not OK means. */
static enum err
refused(const struct port *p, const char *what, const struct serial_answer *a,
	struct detail *d)
{
	static const struct {
		enum fealty_serial_status status;
		enum err e;
		const char *text;
	} table[] = {
	    {FEALTY_S_ORDER, ERR_NETWORK, "has lost count"},
	    {FEALTY_S_RECORD, ERR_RECORD, "holds other than was sent"},
	    {FEALTY_S_MEDIUM, ERR_IO, "cannot keep it: its memory failed"},
	    {FEALTY_S_LOCKED, ERR_WRONG_STATE, "is locked"},
	    {FEALTY_S_EMPTY, ERR_NOT_FOUND, "holds no identity"},
	    {FEALTY_S_UNSUPPORTED, ERR_WRONG_STATE, "does not know this"},
	    {FEALTY_S_PORT, ERR_PROOF, "cannot compute: its HMAC failed"},
	    {FEALTY_S_OTHER, ERR_WRONG_STATE, "holds another identity"},
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].status != a->status)
			continue;
		detail_set(d, "%s: the device on %.100s %s", what, p->name,
			   table[i].text);
		return table[i].e;
	}
	detail_set(d, "%s: the device on %.100s answers wrongly (status %d): "
		      "check its firmware",
		   what, p->name, (int)a->status);
	return ERR_WRONG_STATE;
}

/* A request whose answer is len octets, to out. */
static enum err
ask(struct port *p, const char *what, enum fealty_serial_type type,
    const void *q, size_t qlen, void *out, size_t len, struct detail *d)
{
	struct serial_answer a;
	enum err e;

	if ((e = serial_ask(p->line, type, q, qlen, &a, d)) != ERR_OK)
		return e;
	if (a.status != FEALTY_S_OK) {
		e = refused(p, what, &a, d);
	} else if (a.len != len) {
		detail_set(d, "%s: the device on %.100s answers %zu octets, "
			      "not %zu: check its firmware",
			   what, p->name, a.len, len);
		e = ERR_WRONG_STATE;
	} else if (len > 0) {
		memcpy(out, a.octets, len);
	}
	wipe(&a, sizeof(a));
	return e;
}

static enum err
send_record(struct port *p, const struct serial_hello *h,
	    const struct secret *r, struct detail *d)
{
	uint8_t q[FEALTY_PAYLOAD_MAX];
	uint32_t crc = crc32_zlib(0, r->p, r->len);
	size_t at, n;
	enum err e;

	q[0] = (uint8_t)(r->len >> 8);
	q[1] = (uint8_t)r->len;
	for (n = 0; n < 4; n++)
		q[2 + n] = (uint8_t)(crc >> (24 - 8 * n));
	e = ask(p, "begin", FEALTY_S_BEGIN, q, 6, NULL, 0, d);
	for (at = 0; e == ERR_OK && at < r->len; at += n) {
		n = r->len - at < h->chunk ? r->len - at : h->chunk;
		q[0] = (uint8_t)(at >> 8);
		q[1] = (uint8_t)at;
		memcpy(q + 2, r->p + at, n);
		e = ask(p, "write", FEALTY_S_WRITE, q, n + 2, NULL, 0, d);
	}
	wipe(q, sizeof(q));
	if (e == ERR_OK)
		e = ask(p, "commit", FEALTY_S_COMMIT, "", 0, NULL, 0, d);
	return e;
}

static enum err
write_once(struct port *p, const char *device_id, const struct secret *record,
	   struct detail *d)
{
	struct serial_hello h;
	enum err e;

	if ((e = greet(p, &h, d)) != ERR_OK)
		return e;
	if ((h.flags & FEALTY_S_IS_LOCKED) != 0) {
		detail_set(d, "the device on %.100s is locked%s%.64s", p->name,
			   h.device_id[0] == '\0' ? "" : " and is ",
			   h.device_id);
		return ERR_WRONG_STATE;
	}
	if (h.device_id[0] != '\0' && strcmp(h.device_id, device_id) != 0 &&
	    !p->replace) {
		detail_set(d, "the device on %.80s is already %.64s; "
			      "replace=yes overwrites it",
			   p->name, h.device_id);
		return ERR_WRONG_STATE;
	}
	if (record->len > h.most) {
		detail_set(d, "the device on %.100s has room for %u octets, "
			      "the record has %zu",
			   p->name, h.most, record->len);
		return ERR_TOO_LARGE;
	}
	return send_record(p, &h, record, d);
}

static enum err
serial_write(void *state, const char *device_id, const struct secret *record,
	     struct detail *d)
{
	enum err e = ERR_NETWORK;
	struct detail why;
	int i;

	for (i = 0; e == ERR_NETWORK && i < ROUNDS; i++) {
		why.text[0] = '\0';
		e = write_once(state, device_id, record, &why);
	}
	if (e != ERR_OK)
		detail_set(d, "%s", why.text);
	return e;
}

/* A request to the device that holds this identity. */
static enum err
ask_holder(struct port *p, const char *device_id, enum fealty_serial_type type,
	   const void *q, size_t qlen, void *out, size_t len, struct detail *d)
{
	const char *what = type == FEALTY_S_LOCK ? "lock" : "prove";
	struct detail why;
	struct serial_hello h;
	enum err e = ERR_NETWORK;
	int i;

	for (i = 0; e == ERR_NETWORK && i < ROUNDS; i++) {
		why.text[0] = '\0';
		e = greet(p, &h, &why);
		if (e == ERR_OK && strcmp(h.device_id, device_id) != 0) {
			detail_set(&why, "the device on %.80s is %s%.64s",
				   p->name,
				   h.device_id[0] == '\0' ? "none yet"
							  : "another: ",
				   h.device_id);
			e = ERR_NOT_FOUND;
		}
		if (e == ERR_OK)
			e = ask(p, what, type, q, qlen, out, len, &why);
	}
	if (e != ERR_OK)
		detail_set(d, "%s", why.text);
	return e;
}

static enum err
serial_prove(void *state, const char *device_id,
	     const unsigned char challenge[CHALLENGE_LEN],
	     unsigned char answer[ANSWER_LEN], struct detail *d)
{
	return ask_holder(state, device_id, FEALTY_S_PROVE, challenge,
			  CHALLENGE_LEN, answer, ANSWER_LEN, d);
}

static enum err
serial_lock(void *state, const char *device_id, struct detail *d)
{
	return ask_holder(state, device_id, FEALTY_S_LOCK, device_id,
			  strlen(device_id), NULL, 0, d);
}

/* Before a key is released for nothing. */
static enum err
serial_ready(void *state, struct detail *d)
{
	struct serial_hello h;

	return greet(state, &h, d);
}

const struct target_ops target_serial = {
    .kind = "serial",
    .rest = "DEVICE[,baud=N][,timeout=T][,unit=SERIAL][,replace=yes]"
	    "[,lock=yes]",
    .about = "a device on a UART, which proves itself",
    .open = serial_target_open,
    .name = serial_target_name,
    .ready = serial_ready,
    .write = serial_write,
    .prove = serial_prove,
    .lock = serial_lock,
    .can = serial_target_can,
    .close = serial_target_close,
    .proof = PROOF_DEVICE,
};
