#ifndef WIRE_SEALED_H
#define WIRE_SEALED_H

#include "lib/wire/burn.h"

/*
 * What a device holds that made its own key pair: the identity record with
 * its root key encrypted to that pair (docs/identity-record.md, "Sealed"):
 *   {"version":1,"issuer","device_id","epoch","peers":[…],"key":JWE}
 * in exactly this order, compact. No secret is in it.
 */
#define SEALED_TEXT_MAX 8192
struct sealed {
	char issuer[ISSUER_MAX + 1];
	name_t device_id;
	uint32_t epoch;
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t npeers;
	char key[1025]; /* JWE */
};
enum err wire_sealed_encode(const struct sealed *s, struct buf *out)
    MUST_CHECK;
/* ERR_RECORD with d for anything that wire_sealed_encode would not make. */
enum err wire_sealed_decode(const char *s, size_t len, struct sealed *out,
    struct detail *d) MUST_CHECK;

#endif
