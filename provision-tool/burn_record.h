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
/*
 * What the target gives, where it can be read, in the place of b->record; if
 * that is in hand the two are held against each other (ERR_RECORD).
 */
enum err burn_read_back(struct burn *b) MUST_CHECK;
/* b->answer to b->unit.challenge, by the device or from b->record. */
enum err burn_prove(struct burn *b) MUST_CHECK;
#define BURN_BODY_MAX 16384
#define BURN_PATH_ROOM 192
/* A request to the authority; why it refused goes to b->detail. */
enum err burn_call(struct burn *b, const char *method, const char *path,
		   const struct buf *body, struct buf *answer) MUST_CHECK;
/*
 * The device an answer speaks of, to b->device: of this order, serial and
 * identity, else ERR_INTERNAL; ERR_WRONG_STATE when that was made void.
 */
enum err burn_take_answer(struct burn *b, const struct buf *answer) MUST_CHECK;
/* b->answer, to be confirmed or verified; the device it says, likewise. */
enum err burn_send_answer(struct burn *b, const char *verb) MUST_CHECK;
enum err burn_take_device(struct burn *b, const struct device *dev) MUST_CHECK;
/*
 * b->unit: of that device_id, or, if it is NULL, what the journal has for the
 * serial number, which is then claimed. ERR_NOT_FOUND, ERR_CONFLICT.
 */
enum err burn_find_unit(struct burn *b, const char *device_id) MUST_CHECK;
/* Names a path segment can hold as they are; clients fold "." and "..". */
int burn_segment_ok(const char *s);

#endif
