#include "crc.h"

uint32_t
fealty_crc32(uint32_t start, const void *p, size_t len)
{
	const uint8_t *o = p;
	uint32_t crc = ~start;
	int bit;

	for (; len > 0; len--) {
		crc ^= *o++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
	}
	return ~crc;
}
