#include "tests/helpers/serial_device.h"

#include <string.h>

#include <fealty/device_openssl.h>

static int
medium_read(void *ctx, unsigned slot, uint32_t at, uint8_t *out, size_t len)
{
	const struct serial_device *d = ctx;

	if (slot >= FEALTY_SLOTS || at > FEALTY_SLOT_SIZE ||
	    len > FEALTY_SLOT_SIZE - at)
		return -1;
	memcpy(out, d->slot[slot] + at, len);
	return 0;
}

/* One octet, unless the power is gone. */
static int
put(struct serial_device *d, uint8_t *at, uint8_t octet)
{
	if (d->power == 0)
		return -1;
	if (d->power > 0)
		d->power--;
	*at = octet;
	return 0;
}

static int
medium_write(void *ctx, unsigned slot, uint32_t at, const uint8_t *p,
	     size_t len)
{
	struct serial_device *d = ctx;
	size_t i;

	if (slot >= FEALTY_SLOTS || at > FEALTY_SLOT_SIZE ||
	    len > FEALTY_SLOT_SIZE - at || at % 16 != 0)
		return -1;
	d->written++;
	for (i = 0; i < len && !d->forgetful; i++) {
		/* as in flash: never twice without an erase */
		if (d->slot[slot][at + i] != 0xff ||
		    put(d, &d->slot[slot][at + i], p[i]) != 0)
			return -1;
	}
	return 0;
}

static int
medium_erase(void *ctx, unsigned slot)
{
	struct serial_device *d = ctx;
	size_t i;

	if (slot >= FEALTY_SLOTS)
		return -1;
	d->erased++;
	for (i = 0; i < FEALTY_SLOT_SIZE; i++) {
		if (d->slot[slot][i] != 0xff &&
		    put(d, &d->slot[slot][i], 0xff) != 0)
			return -1;
	}
	return 0;
}

static int
is_locked(void *ctx)
{
	const struct serial_device *d = ctx;

	return d->locked;
}

static int
lock(void *ctx)
{
	struct serial_device *d = ctx;

	d->locks++;
	d->locked = 1;
	return 0;
}

void
serial_device_make(struct serial_device *d)
{
	memset(d, 0, sizeof(*d));
	memset(d->slot, 0xff, sizeof(d->slot));
	d->power = -1;
	d->medium = (struct fealty_medium){medium_read, medium_write,
					   medium_erase, d};
	d->conf.medium = &d->medium;
	d->conf.port = &fealty_device_port_openssl;
	d->conf.model = "model-1";
	d->conf.serial = "SN0001";
	d->conf.locked = is_locked;
	d->conf.lock = lock;
	d->conf.ctx = d;
	serial_device_start(d);
}

void
serial_device_start(struct serial_device *d)
{
	fealty_serial_start(&d->s, &d->conf);
}

size_t
serial_device_hear(struct serial_device *d, const uint8_t *p, size_t len,
		   uint8_t *out, size_t size)
{
	const uint8_t *a;
	size_t i, n, total = 0;

	for (i = 0; i < len; i++) {
		n = fealty_serial_take(&d->s, p[i], &a);
		if (n > size - total)
			n = size - total;
		if (n > 0)
			memcpy(out + total, a, n);
		total += n;
	}
	return total;
}
