#ifndef FEALTY_DEVICE_CRC_H
#define FEALTY_DEVICE_CRC_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-32 of ISO 3309, as zlib's crc32(start, p, len): 0 to begin, or what
 * the call before gave to go on. Without a table: a record is short.
 */
uint32_t fealty_crc32(uint32_t start, const void *p, size_t len);

#endif
