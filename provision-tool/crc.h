#ifndef PROVISION_CRC_H
#define PROVISION_CRC_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-32 of ISO 3309, as zlib's crc32(start, p, len): 0 to begin, or what
 * the call before gave to go on.
 */
uint32_t crc32_zlib(uint32_t start, const void *p, size_t len);

#endif
