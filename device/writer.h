#ifndef DEVICE_WRITER_H
#define DEVICE_WRITER_H

#include "fealty/device.h"

/*
 * Text, written straight into the caller's buffer: characters as they are,
 * octets as base64url, three at a time.
 */
struct writer {
	char *out;
	size_t size; /* room for characters, the NUL not counted */
	size_t len;
	uint32_t bits; /* octets not yet written, nbits of them */
	unsigned nbits;
	int full;
};
void fealty_put_char(struct writer *w, char ch);
void fealty_put_octets(struct writer *w, const void *p, size_t len);
/* The end of one base64url text; what is left over is padded with zeros. */
void fealty_put_end(struct writer *w);

#endif
