#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "lib/wire/burn.h"

/*
 * The identity record a device holds (docs/identity-record.md):
 * deterministic CBOR (RFC 8949 section 4.2) with a COSE_Key (RFC 9052) and a
 * checksum that tells a torn write. The host's codec, on libcbor.
 */
#define RECORD_MAX 4096
void record_wipe(struct record *r);
enum err record_encode(const struct record *r, struct secret *out) MUST_CHECK;
/* ERR_RECORD with d for anything that record_encode would not have made. */
enum err record_decode(const void *p, size_t len, struct record *out,
    struct detail *d) MUST_CHECK;

#endif
