#include "lib/crypt/ticket_burn.h"

#include <string.h>

#include "lib/crypt/digest.h"

#define ANSWER_LEN 32
#define TEXT_MAX                                                               \
	(TICKET_ID_LEN + 1 + 8 + CHALLENGE_LEN + TICKET_NONCE_LEN +            \
	 NAME_MAX_LEN + 1 + 16 + ANSWER_LEN)

struct text {
	unsigned char p[TEXT_MAX];
	size_t len;
};

static void
put(struct text *t, const void *p, size_t len)
{
	memcpy(t->p + t->len, p, len);
	t->len += len;
}

enum err
ticket_message(const char *ticket, const struct ticket_burn *b,
	       struct proof_message *out)
{
	const char *proof = proof_name(b->confirm.proof);
	unsigned char be[8], digest[32];
	struct text t = {.len = 0};
	enum err e;
	int i;

	if (b->confirm.proof != PROOF_DEVICE &&
	    b->confirm.proof != PROOF_MEDIUM)
		return ERR_PROOF;
	if (!name_is_ticket(ticket) || !name_is_serial(b->serial))
		return ERR_NAME;
	for (i = 0; i < 8; i++)
		be[i] = (unsigned char)(b->dn >> (56 - 8 * i));
	put(&t, ticket, strlen(ticket) + 1);
	put(&t, be, sizeof(be));
	put(&t, b->confirm.challenge, CHALLENGE_LEN);
	put(&t, b->nonce, sizeof(b->nonce));
	put(&t, b->serial, strlen(b->serial) + 1);
	put(&t, proof, strlen(proof) + 1);
	put(&t, b->confirm.answer, ANSWER_LEN);
	e = sha256(t.p, t.len, digest);
	wipe(&t, sizeof(t));
	return e == ERR_OK ? proof_message("ticket", b->device_id,
					   b->confirm.epoch, digest,
					   sizeof(digest), out)
			   : e;
}
