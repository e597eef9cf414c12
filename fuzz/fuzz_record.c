/*
 * Two readers of one format, written apart: what one takes the other takes,
 * with the same meaning, and there is one encoding of it.
 */
#include "fuzz/fuzz.h"

#include <fealty/device.h>
#include <string.h>

#include "lib/wire/record.h"

static int
same_text(const struct fealty_text *t, const char *s)
{
	return strlen(s) == t->len && memcmp(s, t->p, t->len) == 0;
}

static void
compare(const struct record *h, const struct fealty_record *d)
{
	uint32_t i;

	PROMISE(same_text(&d->issuer, h->issuer));
	PROMISE(same_text(&d->device_id, h->device_id));
	PROMISE(d->epoch == h->epoch && d->npeers == h->npeers);
	PROMISE(memcmp(d->key, h->key.b, KEY32_LEN) == 0);
	for (i = 0; i < h->npeers; i++) {
		PROMISE(same_text(&d->peers[i].audience,
		    h->peers[i].audience));
		PROMISE(same_text(&d->peers[i].host, h->peers[i].host));
		PROMISE(same_text(&d->peers[i].identity,
		    h->peers[i].identity));
		PROMISE(d->peers[i].port == h->peers[i].port);
	}
}

static uint32_t
crc32(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;
	int bit;

	for (; len > 0; len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
	}
	return ~crc;
}

static void
one(const uint8_t *p, size_t len)
{
	struct fealty_record d;
	struct secret again = {0};
	struct record h;
	int host, device;

	host = record_decode(p, len, &h, NULL) == ERR_OK;
	device = fealty_record_read(p, len, &d) == FEALTY_OK;
	PROMISE(host == device);
	if (!host)
		return;
	compare(&h, &d);
	PROMISE(record_encode(&h, &again) == ERR_OK);
	PROMISE(again.len == len && memcmp(again.p, p, len) == 0);
	secret_free(&again);
}

/* As it is, and with its checksum put right. */
void
fuzz_record(const uint8_t *p, size_t len)
{
	uint8_t *copy;
	uint32_t crc;

	one(p, len);
	if (len < 5)
		return;
	copy = malloc(len);
	if (copy == NULL)
		return;
	memcpy(copy, p, len);
	crc = crc32(p, len - 4);
	copy[len - 4] = (uint8_t)(crc >> 24);
	copy[len - 3] = (uint8_t)(crc >> 16);
	copy[len - 2] = (uint8_t)(crc >> 8);
	copy[len - 1] = (uint8_t)crc;
	one(copy, len);
	free(copy);
}
