#include "provision-tool/serial_line.h"

#include <sys/file.h>
#include <sys/random.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/secret.h"

struct serial_line {
	int fd;
	int locked;
	unsigned baud;
	int timeout_ms;
	char *device;
	uint32_t session;
	uint16_t seq;
	struct fealty_line in;
	uint8_t octets[512]; /* read, from at to n not yet looked at */
	size_t at, n;
	int heard; /* anything, since the request */
};

static const struct {
	unsigned baud;
	speed_t speed;
} speeds[] = {
    {9600, B9600},     {19200, B19200},	  {38400, B38400},
    {57600, B57600},   {115200, B115200}, {230400, B230400},
    {460800, B460800}, {921600, B921600}, {1000000, B1000000},
};

static speed_t
find_speed(unsigned baud)
{
	size_t i;

	for (i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
		if (speeds[i].baud == baud)
			return speeds[i].speed;
	}
	return B0;
}

int
serial_knows_baud(unsigned baud)
{
	return find_speed(baud) != B0;
}

/* Eight bits, no parity, nothing interpreted, no modem lines. */
static int
make_raw(int fd, speed_t speed)
{
	struct termios t;

	if (tcgetattr(fd, &t) != 0)
		return -1;
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL | CREAD;
	t.c_cflag &= ~(tcflag_t)(CRTSCTS | CSTOPB);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	if (cfsetspeed(&t, speed) != 0 || tcsetattr(fd, TCSANOW, &t) != 0)
		return -1;
	return tcflush(fd, TCIOFLUSH);
}

enum err
serial_open(const struct serial_conf *conf, struct serial_line **out,
	    struct detail *d)
{
	struct serial_line *l = calloc(1, sizeof(*l));
	enum err e = ERR_NOMEM;

	if (l == NULL)
		return e;
	l->fd = -1;
	l->baud = conf->baud;
	l->timeout_ms = conf->timeout_ms;
	l->device = strdup(conf->device);
	if (l->device == NULL)
		goto out;
	e = ERR_REQUEST;
	l->fd = open(conf->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (l->fd < 0) {
		detail_set(d, "%.100s: %s", conf->device, strerror(errno));
		goto out;
	}
	if (!isatty(l->fd)) {
		detail_set(d, "%.100s is no serial line", conf->device);
		goto out;
	}
	if (make_raw(l->fd, find_speed(conf->baud)) != 0) {
		detail_set(d, "%.100s cannot be set to %u baud", conf->device,
			   conf->baud);
		goto out;
	}
	*out = l;
	l = NULL;
	e = ERR_OK;
out:
	serial_close(&l);
	return e;
}

void
serial_close(struct serial_line **l)
{
	if (l == NULL || *l == NULL)
		return;
	if ((*l)->fd >= 0)
		(void)close((*l)->fd);
	free((*l)->device);
	wipe(*l, sizeof(**l));
	free(*l);
	*l = NULL;
}

static enum err
gone(const struct serial_line *l, struct detail *d)
{
	detail_set(d, "%.100s is gone: check the cable", l->device);
	return ERR_IO;
}

/* Until the line is ready for events: ERR_TIMEOUT at end. */
static enum err
wait_for(struct serial_line *l, short events, int64_t end, struct detail *d)
{
	struct pollfd p = {l->fd, events, 0};
	int64_t left = end - clock_mono_ms(&clock_system);
	int n;

	if (left <= 0)
		return ERR_TIMEOUT;
	do
		n = poll(&p, 1, (int)left);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return ERR_TIMEOUT;
	return (p.revents & events) == 0 ? gone(l, d) : ERR_OK;
}

static enum err
send_frame(struct serial_line *l, const uint8_t *p, size_t len, int64_t end,
	   struct detail *d)
{
	enum err e = ERR_OK;
	ssize_t n;

	while (e == ERR_OK && len > 0) {
		n = write(l->fd, p, len);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return gone(l, d);
		} else {
			e = wait_for(l, POLLOUT, end, d);
		}
	}
	return e;
}

static enum err
fill(struct serial_line *l, int64_t end, struct detail *d)
{
	ssize_t n;
	enum err e;

	if ((e = wait_for(l, POLLIN, end, d)) != ERR_OK)
		return e;
	n = read(l->fd, l->octets, sizeof(l->octets));
	/* nothing, where there was to be something: the other end is shut */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return gone(l, d);
	l->at = 0;
	l->n = n > 0 ? (size_t)n : 0;
	l->heard |= l->n > 0;
	return ERR_OK;
}

/*
 * The answer to q. Whatever else comes in (what the device says at its start,
 * an answer that comes late or twice, our own echo) is passed over.
 */
static enum err
receive(struct serial_line *l, const struct fealty_frame *q, int64_t end,
	struct fealty_frame *out, struct detail *d)
{
	enum err e;

	for (;;) {
		while (l->at < l->n) {
			if (fealty_line_take(&l->in, l->octets[l->at++],
					     out) &&
			    out->type == (q->type | FEALTY_S_ANSWER) &&
			    out->session == q->session && out->seq == q->seq &&
			    out->len > 0)
				return ERR_OK;
		}
		if ((e = fill(l, end, d)) != ERR_OK)
			return e;
	}
}

/* What an answer says whatever was asked. */
static enum err
judge(const struct serial_line *l, const struct fealty_frame *f,
      struct serial_answer *a, struct detail *d)
{
	unsigned version = f->version;

	if (f->payload[0] == FEALTY_S_VERSION && f->len > 1)
		version = f->payload[1];
	if (version != FEALTY_SERIAL_VERSION ||
	    f->payload[0] == FEALTY_S_VERSION) {
		detail_set(d, "the device on %.100s speaks version %u of the "
			      "serial protocol, this station %d",
			   l->device, version, FEALTY_SERIAL_VERSION);
		return ERR_WRONG_STATE;
	}
	if (f->payload[0] == FEALTY_S_SESSION) {
		detail_set(d, "the device on %.100s started again meanwhile",
			   l->device);
		return ERR_NETWORK;
	}
	a->status = (enum fealty_serial_status)f->payload[0];
	a->len = (size_t)f->len - 1;
	memcpy(a->octets, f->payload + 1, a->len);
	return ERR_OK;
}

static enum err
nothing(const struct serial_line *l, struct detail *d)
{
	if (l->heard)
		detail_set(d, "the device on %.100s sends no answer, but "
			      "something else: check baud= and its firmware",
			   l->device);
	else
		detail_set(d, "the device on %.100s does not answer: check "
			      "power and cable",
			   l->device);
	return ERR_TIMEOUT;
}

/* The time on the wire both ways, and the device's. */
static int64_t
deadline(const struct serial_line *l)
{
	return clock_mono_ms(&clock_system) + l->timeout_ms +
	       (int64_t)2 * FEALTY_FRAME_MAX * 10 * 1000 / l->baud;
}

static enum err
ask(struct serial_line *l, enum fealty_serial_type type, const void *p,
    size_t len, struct serial_answer *a, struct detail *d)
{
	uint8_t frame[FEALTY_FRAME_MAX];
	struct fealty_frame q = {FEALTY_SERIAL_VERSION, (uint8_t)type,
				 l->session, l->seq, (uint16_t)len, p};
	struct fealty_frame f;
	enum err e = ERR_TIMEOUT;
	size_t n = fealty_frame_write(&q, frame);
	int64_t end;
	int i;

	l->heard = 0;
	for (i = 0; e == ERR_TIMEOUT && i < SERIAL_TRIES; i++) {
		end = deadline(l);
		e = send_frame(l, frame, n, end, d);
		if (e == ERR_OK)
			e = receive(l, &q, end, &f, d);
	}
	wipe(frame, sizeof(frame));
	if (e == ERR_TIMEOUT)
		return nothing(l, d);
	if (e == ERR_OK)
		e = judge(l, &f, a, d);
	/* an answer to a challenge may be in it */
	wipe(l->in.octets, sizeof(l->in.octets));
	wipe(l->octets, l->at);
	return e;
}

enum err
serial_ask(struct serial_line *l, enum fealty_serial_type type, const void *p,
	   size_t len, struct serial_answer *a, struct detail *d)
{
	if (len > FEALTY_PAYLOAD_MAX || l->seq == UINT16_MAX)
		return ERR_INTERNAL;
	l->seq++;
	return ask(l, type, p, len, a, d);
}

/* A length and so many printable characters. */
static const uint8_t *
take_name(const uint8_t *at, const uint8_t *end, char out[65])
{
	size_t n, i;

	if (at == NULL || at == end)
		return NULL;
	n = *at++;
	if (n > 64 || (size_t)(end - at) < n)
		return NULL;
	for (i = 0; i < n; i++) {
		if (at[i] <= ' ' || at[i] > '~')
			return NULL;
		out[i] = (char)at[i];
	}
	out[n] = '\0';
	return at + n;
}

int
serial_hello_decode(const struct serial_answer *a, struct serial_hello *h)
{
	const uint8_t *o = a->octets, *end = o + a->len, *at = o + 9;

	if (a->status != FEALTY_S_OK || a->len < 9)
		return 0;
	h->flags = o[0];
	h->chunk = (unsigned)(o[1] << 8 | o[2]);
	h->most = (unsigned)(o[3] << 8 | o[4]);
	at = take_name(at, end, h->device_id);
	at = take_name(at, end, h->model);
	at = take_name(at, end, h->unit);
	if (at != end || h->chunk < 16 || h->chunk > FEALTY_PAYLOAD_MAX - 2)
		return 0;
	return ((h->flags & FEALTY_S_HAS_IDENTITY) != 0) ==
	       (h->device_id[0] != '\0');
}

enum err
serial_hello(struct serial_line *l, struct serial_hello *h, struct detail *d)
{
	struct serial_answer a;
	uint32_t session;
	enum err e;

	if (!l->locked && flock(l->fd, LOCK_EX | LOCK_NB) != 0) {
		detail_set(d, "another program uses %.100s", l->device);
		return ERR_CONFLICT;
	}
	l->locked = 1;
	do {
		if (getrandom(&session, sizeof(session), 0) !=
		    (ssize_t)sizeof(session))
			return ERR_CRYPTO;
	} while (session == l->session);
	l->session = session;
	l->seq = 0;
	e = ask(l, FEALTY_S_HELLO, "", 0, &a, d);
	if (e == ERR_OK && !serial_hello_decode(&a, h)) {
		detail_set(d, "the device on %.100s answers HELLO wrongly: "
			      "check its firmware",
			   l->device);
		e = ERR_WRONG_STATE;
	}
	return e;
}
