#include <string.h>

#include "crc.h"
#include "fealty/frame.h"
#include "octets.h"

#define HEAD_LEN 10
#define CRC_LEN 4

/* COBS (Cheshire and Baker, 1999) in place; the octets left, or 0. */
static size_t
cobs_decode(uint8_t *p, size_t len)
{
	size_t in = 0, out = 0;
	uint8_t code, n;

	while (in < len) {
		code = p[in++];
		if (code == 0 || (size_t)(code - 1) > len - in)
			return 0;
		for (n = 1; n < code; n++)
			p[out++] = p[in++];
		if (code != 0xff && in < len)
			p[out++] = 0;
	}
	return out;
}

struct cobs {
	uint8_t *out;
	size_t len;
	size_t code; /* where the code of the run goes */
};

static void
cobs_put(struct cobs *c, uint8_t octet)
{
	if (octet != 0)
		c->out[c->len++] = octet;
	if (octet == 0 || c->len - c->code == 0xff) {
		c->out[c->code] = (uint8_t)(c->len - c->code);
		c->code = c->len++;
	}
}

static void
cobs_add(struct cobs *c, const uint8_t *p, size_t len)
{
	for (; len > 0; len--)
		cobs_put(c, *p++);
}

static int
decode(uint8_t *p, size_t len, struct fealty_frame *out)
{
	len = cobs_decode(p, len);
	if (len < HEAD_LEN + CRC_LEN)
		return 0;
	len -= CRC_LEN;
	if (fealty_crc32(0, p, len) != get32(p + len))
		return 0;
	out->version = p[0];
	out->type = p[1];
	out->session = get32(p + 2);
	out->seq = get16(p + 6);
	out->len = get16(p + 8);
	out->payload = p + HEAD_LEN;
	return out->len == len - HEAD_LEN;
}

int
fealty_line_take(struct fealty_line *l, uint8_t octet,
		 struct fealty_frame *out)
{
	int whole;

	if (octet != 0) {
		if (l->len == sizeof(l->octets))
			l->overlong = 1;
		else
			l->octets[l->len++] = octet;
		return 0;
	}
	whole = !l->overlong && decode(l->octets, l->len, out);
	l->len = 0;
	l->overlong = 0;
	return whole;
}

size_t
fealty_frame_write(const struct fealty_frame *f, uint8_t out[FEALTY_FRAME_MAX])
{
	struct cobs c = {out, 2, 1};
	uint8_t head[HEAD_LEN], sum[CRC_LEN];
	uint32_t crc;

	if (f->len > FEALTY_PAYLOAD_MAX)
		return 0;
	head[0] = f->version;
	head[1] = f->type;
	put32(head + 2, f->session);
	put16(head + 6, f->seq);
	put16(head + 8, f->len);
	crc = fealty_crc32(0, head, sizeof(head));
	crc = fealty_crc32(crc, f->payload, f->len);
	put32(sum, crc);
	out[0] = 0;
	cobs_add(&c, head, sizeof(head));
	cobs_add(&c, f->payload, f->len);
	cobs_add(&c, sum, sizeof(sum));
	out[c.code] = (uint8_t)(c.len - c.code);
	out[c.len++] = 0;
	return c.len;
}
