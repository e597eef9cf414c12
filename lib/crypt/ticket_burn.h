#ifndef CRYPT_TICKET_BURN_H
#define CRYPT_TICKET_BURN_H

#include "lib/crypt/proof.h"
#include "lib/model/ticket.h"

/*
 * What the station's key signs of a burn (docs/tickets.md): a proof message
 * of "ticket" whose challenge is the SHA-256 of
 *   ticket 00 u64be(number) challenge nonce serial 00 proof 00 answer
 * with 32 octets of answer: no other proof can be taken to a ticket.
 * ERR_PROOF, ERR_NAME, ERR_CRYPTO.
 */
enum err ticket_message(const char *ticket, const struct ticket_burn *b,
			struct proof_message *out) MUST_CHECK;

#endif
