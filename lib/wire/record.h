#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "lib/wire/burn.h"

/*
 * The identity record a device holds (docs/identity-record.md):
 * deterministic CBOR (RFC 8949 section 4.2) with a COSE_Key (RFC 9052) and a
 * checksum that tells a torn write. The host's codec, on libcbor.
 */
#define RECORD_MAX 4096
struct record {
	char issuer[ISSUER_MAX + 1];
	name_t device_id;
	uint32_t epoch;
	struct key32 key;
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t npeers;
};
void record_wipe(struct record *r);
enum err record_encode(const struct record *r, struct secret *out) MUST_CHECK;
/* ERR_RECORD with d for anything that record_encode would not have made. */
enum err record_decode(const void *p, size_t len, struct record *out,
    struct detail *d) MUST_CHECK;

#endif
