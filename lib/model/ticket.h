#ifndef MODEL_TICKET_H
#define MODEL_TICKET_H

#include "lib/model/exchange.h"

/*
 * A ticket: identities of one order that a station takes along to where there
 * is no network (docs/tickets.md).
 */
#define TICKET_ID_OCTETS 16 /* chosen by the station at random */
#define TICKET_ID_LEN 22    /* as text, base64url: name_is_ticket */
typedef char ticket_id_t[TICKET_ID_LEN + 1];

#define TICKET_UNITS_MAX 250
#define TICKET_LIFE_MAX (31 * 86400) /* seconds */
#define TICKET_NONCE_LEN 16	     /* octets: of one burn */

/* What a station asks for. */
struct ticket_request {
	ticket_id_t id;
	uint32_t count;
	uint32_t life;		/* seconds; the order's expiry bounds it */
	char station_key[512];	/* JWK: K is encrypted to it */
};

/* One identity of a ticket. */
struct ticket_unit {
	name_t device_id;
	uint64_t dn;
	uint32_t epoch;
	unsigned char challenge[CHALLENGE_LEN];
	char key[1025]; /* JWE */
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t npeers;
};

struct ticket {
	ticket_id_t id;
	char issuer[ISSUER_MAX + 1];
	name_t order;
	name_t model;
	enum proof min_proof;
	char serial_pattern[129];
	int64_t expires_at; /* unix seconds */
	uint32_t n;
	struct ticket_unit *units; /* malloc'ed */
};
/* Frees the units; *t is empty then. */
void ticket_free(struct ticket *t);

/* What a station says of one burn, signed by its key (ticket_digest). */
struct ticket_burn {
	uint64_t dn;
	name_t device_id;
	name_t serial;
	unsigned char nonce[TICKET_NONCE_LEN];
	struct confirm confirm;
	unsigned char signature[64]; /* ES256 */
};
#define TICKET_PUSH_MAX 50 /* at a time */

/* What the authority makes of it. */
struct ticket_result {
	uint64_t dn;
	enum err outcome; /* ERR_OK: the device is active */
	struct detail detail;
};

#endif
