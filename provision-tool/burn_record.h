#ifndef PROVISION_BURN_RECORD_H
#define PROVISION_BURN_RECORD_H

#include "lib/jose/jwe.h"
#include "provision-tool/burn.h"

/*
 * The steps of a burn that differ by whose key the root key is encrypted to:
 * the station's one-time key, or the device's own (TARGET_MAKES). Each sets
 * b->detail when it fails.
 */

/* Whether the device makes its own key pair. */
int burn_made(const struct burn *b);
/* Asks for K to one of them; station is made, or stays NULL. */
enum err burn_release_request(struct burn *b, struct jwe_key **station,
			      struct release_request *req) MUST_CHECK;
/* What is released, as the record that the target takes. */
enum err burn_record(struct burn *b, const struct jwe_key *station,
		     const struct release *rel) MUST_CHECK;
/* Names a path segment can hold as they are; clients fold "." and "..". */
int burn_segment_ok(const char *s);
/* b->answer, over what the target holds, by whoever can give it there. */
enum err burn_prove(struct burn *b) MUST_CHECK;

#endif
