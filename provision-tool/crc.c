#include "provision-tool/crc.h"

/* Four bits at a time: a table of 64 octets is fast enough for any image. */
uint32_t
crc32_zlib(uint32_t start, const void *p, size_t len)
{
	static const uint32_t step[16] = {
	    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
	    0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	    0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const unsigned char *s = p;
	uint32_t crc = ~start;

	for (; len > 0; len--, s++) {
		crc ^= *s;
		crc = crc >> 4 ^ step[crc & 15];
		crc = crc >> 4 ^ step[crc & 15];
	}
	return ~crc;
}
