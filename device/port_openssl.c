#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "fealty/device_openssl.h"

static int
port_hmac(void *ctx, const uint8_t *key, size_t keylen, const uint8_t *msg,
	  size_t len, uint8_t out[32])
{
	unsigned int n = 0;

	(void)ctx;
	if (key == NULL || keylen > 64)
		return -1;
	if (HMAC(EVP_sha256(), key, (int)keylen, msg, len, out, &n) == NULL)
		return -1;
	return n == 32 ? 0 : -1;
}

static int
port_random(void *ctx, uint8_t *out, size_t len)
{
	(void)ctx;
	if (len > 1024)
		return -1;
	return RAND_bytes(out, (int)len) == 1 ? 0 : -1;
}

const struct fealty_device_port fealty_device_port_openssl = {
    .hmac_sha256 = port_hmac,
    .random = port_random,
    .ctx = NULL,
};
