#ifndef PROVISION_TICKET_BURN_H
#define PROVISION_TICKET_BURN_H

#include "lib/crypt/signer.h"
#include "lib/jose/jwe.h"
#include "provision-tool/burn.h"

/*
 * The steps of a burn that ask the authority, done by a ticket instead:
 * reserve takes an identity in the ticket's book, release opens its key, and
 * confirm signs what was burned, to be pushed later. Each sets b->detail
 * when it fails.
 */
struct burn_ticket {
	const struct ticket *ticket;
	const struct signer *key;
	const char *dir;      /* of the book */
	struct jwe_key *open; /* the same key, to decrypt */
};

enum err ticket_reserve(struct burn *b) MUST_CHECK;
enum err ticket_release(struct burn *b) MUST_CHECK;
enum err ticket_confirm(struct burn *b) MUST_CHECK;
/* ERR_OK when this burn is signed. */
enum err ticket_look_up(struct burn *b) MUST_CHECK;

#endif
