#ifndef FIRMWARE_SHA256_H
#define FIRMWARE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/*
 * HMAC-SHA-256 (RFC 2104, FIPS 180-4) as struct fealty_device_port wants it;
 * a key is at most 64 octets. 0 for success. ctx is not used.
 */
int sha256_hmac(void *ctx, const uint8_t *key, size_t keylen,
		const uint8_t *msg, size_t len, uint8_t out[32]);

#endif
