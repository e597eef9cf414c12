/*
 * Both ends of the serial protocol. The first octet says how the rest is
 * heard: even, as it is, by a line; odd, as requests (type, length, payload)
 * in frames that are right, so that what lies behind the checksum is reached.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "provision-tool/serial_line.h"
#include "tests/helpers/serial_device.h"

static const uint8_t *
find_key(const struct serial_device *d, const uint8_t *p, size_t len)
{
	if (d->s.len == 0)
		return NULL;
	return memmem(p, len, d->s.record.key, FEALTY_KEY_LEN);
}

/* What is heard is one frame, whoever writes it. */
static void
same_again(const struct fealty_frame *f)
{
	uint8_t out[FEALTY_FRAME_MAX];
	struct fealty_line line = {0};
	struct fealty_frame back;
	size_t i, n = fealty_frame_write(f, out);
	int frames = 0;

	PROMISE(n > 0 && n <= sizeof(out));
	for (i = 0; i < n; i++)
		frames += fealty_line_take(&line, out[i], &back);
	PROMISE(frames == 1 && back.type == f->type && back.len == f->len);
	PROMISE(back.session == f->session && back.seq == f->seq);
	PROMISE(memcmp(back.payload, f->payload, f->len) == 0);
}

/* What a station makes of an answer to HELLO. */
static void
as_hello(const struct fealty_frame *f)
{
	struct serial_answer a;
	struct serial_hello h;

	if (f->len == 0)
		return;
	a.status = (enum fealty_serial_status)f->payload[0];
	a.len = (size_t)f->len - 1;
	memcpy(a.octets, f->payload + 1, a.len);
	if (!serial_hello_decode(&a, &h))
		return;
	PROMISE(h.chunk >= 16 && h.chunk <= FEALTY_PAYLOAD_MAX - 2);
	PROMISE(strlen(h.device_id) <= 64 && strlen(h.model) <= 64 &&
	    strlen(h.unit) <= 64);
}

static void
hear(struct serial_device *d, const uint8_t *p, size_t len)
{
	struct fealty_line line = {0};
	struct fealty_frame f;
	const uint8_t *answer;
	size_t i, n;

	for (i = 0; i < len; i++) {
		if (fealty_line_take(&line, p[i], &f)) {
			same_again(&f);
			as_hello(&f);
		}
		n = fealty_serial_take(&d->s, p[i], &answer);
		PROMISE(n <= FEALTY_FRAME_MAX);
		PROMISE(n == 0 || find_key(d, answer, n) == NULL);
	}
}

static void
hear_requests(struct serial_device *d, const uint8_t *p, size_t len)
{
	struct fealty_frame q = {.version = 1, .session = 1};
	uint8_t frame[FEALTY_FRAME_MAX];
	size_t n;

	while (len >= 2) {
		q.type = p[0];
		q.len = p[1];
		p += 2;
		len -= 2;
		if (q.len > len)
			q.len = (uint16_t)len;
		q.payload = p;
		n = fealty_frame_write(&q, frame);
		hear(d, frame, n);
		p += q.len;
		len -= q.len;
		q.seq++;
	}
}

/* Whatever was heard: what is in use is what a start finds. */
void
fuzz_serial(const uint8_t *p, size_t len)
{
	static struct serial_device d;
	uint8_t before[FEALTY_RECORD_MAX];
	size_t was;

	if (len == 0)
		return;
	serial_device_make(&d);
	if (*p % 2 == 0)
		hear(&d, p + 1, len - 1);
	else
		hear_requests(&d, p + 1, len - 1);
	was = d.s.len;
	memcpy(before, d.s.mem, sizeof(before));
	serial_device_start(&d);
	PROMISE(d.s.len == was);
	PROMISE(memcmp(before, d.s.mem, was) == 0);
}
