#include <string.h>

#include "crc.h"
#include "fealty/slots.h"
#include "octets.h"

/*
 * A slot's head: "FSL1", sequence number, length of the record, 0000, and
 * the CRC-32 of the twelve octets before and the record. Written last.
 */
#define MAGIC 0x46534c31
#define CRC_AT 12

struct head {
	uint32_t seq;
	uint32_t crc;
	uint16_t len;
	uint8_t octets[FEALTY_SLOT_HEAD];
};

static unsigned
other(const struct fealty_slots *s)
{
	return s->active == 0 ? 1 : 0;
}

/* 1 when the head may be one; whether the record is whole shows later. */
static int
read_head(const struct fealty_slots *s, unsigned slot, struct head *h)
{
	const struct fealty_medium *m = s->medium;

	if (m->read(m->ctx, slot, 0, h->octets, sizeof(h->octets)) != 0)
		return 0;
	h->seq = get32(h->octets + 4);
	h->len = get16(h->octets + 8);
	h->crc = get32(h->octets + CRC_AT);
	return get32(h->octets) == MAGIC && get16(h->octets + 10) == 0 &&
	       h->len > 0 && h->len <= FEALTY_RECORD_MAX;
}

static uint32_t
sum(const struct head *h, const uint8_t *record)
{
	return fealty_crc32(fealty_crc32(0, h->octets, CRC_AT), record, h->len);
}

static enum fealty_status
read_record(const struct fealty_slots *s, unsigned slot, size_t len,
	    uint8_t *mem, struct fealty_record *out)
{
	const struct fealty_medium *m = s->medium;

	if (m->read(m->ctx, slot, FEALTY_SLOT_HEAD, mem, len) != 0)
		return FEALTY_E_MEDIUM;
	/* what was longer before ends with this */
	fealty_wipe(mem + len, FEALTY_RECORD_MAX - len);
	return fealty_record_read(mem, len, out);
}

static int
take(struct fealty_slots *s, unsigned slot, const struct head *h, uint8_t *mem,
     struct fealty_record *out)
{
	if (read_record(s, slot, h->len, mem, out) != FEALTY_OK ||
	    sum(h, mem) != h->crc)
		return 0;
	s->active = (int)slot;
	s->seq = h->seq;
	return 1;
}

enum fealty_status
fealty_slots_load(struct fealty_slots *s, uint8_t *mem, size_t *len,
		  struct fealty_record *out)
{
	struct head h[FEALTY_SLOTS];
	int may[FEALTY_SLOTS];
	unsigned first, i, slot;

	for (i = 0; i < FEALTY_SLOTS; i++)
		may[i] = read_head(s, i, &h[i]);
	first = may[1] && (!may[0] || h[1].seq > h[0].seq) ? 1 : 0;
	for (i = 0; i < FEALTY_SLOTS; i++) {
		slot = first ^ i;
		if (may[slot] && take(s, slot, &h[slot], mem, out)) {
			*len = h[slot].len;
			return FEALTY_OK;
		}
	}
	s->active = -1;
	s->seq = 0;
	*len = 0;
	fealty_wipe(mem, FEALTY_RECORD_MAX);
	fealty_wipe(out, sizeof(*out));
	return FEALTY_E_RECORD;
}

enum fealty_status
fealty_slots_clear(struct fealty_slots *s)
{
	const struct fealty_medium *m = s->medium;

	return m->erase(m->ctx, other(s)) == 0 ? FEALTY_OK : FEALTY_E_MEDIUM;
}

enum fealty_status
fealty_slots_put(struct fealty_slots *s, uint32_t at, const uint8_t *p,
		 size_t len)
{
	const struct fealty_medium *m = s->medium;

	if (at % 16 != 0 || len > FEALTY_RECORD_MAX ||
	    at > FEALTY_RECORD_MAX - len)
		return FEALTY_E_ARG;
	if (m->write(m->ctx, other(s), FEALTY_SLOT_HEAD + at, p, len) != 0)
		return FEALTY_E_MEDIUM;
	return FEALTY_OK;
}

/* What was written must be what a start will find. */
static enum fealty_status
write_head(struct fealty_slots *s, const struct head *h)
{
	const struct fealty_medium *m = s->medium;
	struct head back;

	if (m->write(m->ctx, other(s), 0, h->octets, sizeof(h->octets)) != 0 ||
	    !read_head(s, other(s), &back) ||
	    memcmp(back.octets, h->octets, sizeof(h->octets)) != 0)
		return FEALTY_E_MEDIUM;
	return FEALTY_OK;
}

enum fealty_status
fealty_slots_commit(struct fealty_slots *s, uint32_t crc, size_t len,
		    uint8_t *mem, struct fealty_record *out)
{
	enum fealty_status st;
	struct head h;

	if (len == 0 || len > FEALTY_RECORD_MAX || s->seq == UINT32_MAX)
		return FEALTY_E_ARG;
	st = read_record(s, other(s), len, mem, out);
	if (st == FEALTY_OK && fealty_crc32(0, mem, len) != crc)
		st = FEALTY_E_RECORD;
	if (st != FEALTY_OK)
		return st;
	h.seq = s->seq + 1;
	h.len = (uint16_t)len;
	put32(h.octets, MAGIC);
	put32(h.octets + 4, h.seq);
	put16(h.octets + 8, h.len);
	put16(h.octets + 10, 0);
	h.crc = sum(&h, mem);
	put32(h.octets + CRC_AT, h.crc);
	st = write_head(s, &h);
	if (st != FEALTY_OK) {
		/* a head that a later start could find must not stay */
		(void)fealty_slots_clear(s);
		return st;
	}
	s->active = (int)other(s);
	s->seq = h.seq;
	return FEALTY_OK;
}
