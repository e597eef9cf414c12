#ifndef MODEL_EXCHANGE_H
#define MODEL_EXCHANGE_H

#include "lib/base/secret.h"
#include "lib/model/names.h"
#include "lib/model/device.h"
#include "lib/model/event.h"
#include "lib/model/order.h"

/*
 * What goes to and fro in one exchange, as values: the decisions (authd/core)
 * take and give them, lib/wire turns them into JSON (docs/api.md).
 */

/* What a station asks the key of a reserved device with. */
struct release_request {
	uint32_t epoch;
	/* JWK text; one of them, the other "" */
	char station_key[512]; /* the station's one-time key */
	char device_key[512];  /* the device's own, to be registered */
};

/* A service the device is peered with, and its identity there. */
struct peer {
	name_t audience;
	char host[254];
	uint16_t port;
	char identity[PSKID_LEN + 1];
};
#define RECORD_PEERS_MAX (ORDER_PEERS_MAX + 1) /* and "authority" */
/* What the station gets: K encrypted to that key, the rest of the record. */
struct release {
	char key[1025]; /* JWE */
	struct device device;
	unsigned char challenge[CHALLENGE_LEN];
	char issuer[ISSUER_MAX + 1];
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t npeers;
};

/* The identity record as values. Wiped by whoever holds the struct. */
struct record {
	char issuer[ISSUER_MAX + 1];
	name_t device_id;
	uint32_t epoch;
	struct key32 key;
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t npeers;
};

/* The device's answer to the challenge: answer_len(proof) octets. */
#define ANSWER_MAX 64
struct confirm {
	uint32_t epoch;
	unsigned char challenge[CHALLENGE_LEN];
	unsigned char answer[ANSWER_MAX];
	enum proof proof;
};
/* Octets of an answer: a MAC, or the signature of the device's own key. */
static inline size_t
answer_len(enum proof proof)
{
	return proof == PROOF_DEVICE_MADE ? ANSWER_MAX : 32;
}

/* A revocation as an operator orders it. */
struct revocation_request {
	enum event_kind kind;
	enum event_effect effect;
	name_t id; /* device_id, group number, "" or jti */
	int64_t exp;
	int has_expect;
	uint64_t expect;
	int dry_run;
	char reason[201];
};

/* PSK resolution by a gateway. key is wiped by whoever holds the struct. */
struct psk_request {
	char identity[PSKID_LEN + 1];
	name_t audience;
	int tls; /* 12 or 13 */
};

struct psk_answer {
	struct key32 key;
	name_t device_id;
	uint64_t dn;
	uint32_t epoch;
	uint32_t groups[DEVICE_GROUPS_MAX];
	uint32_t ngroups;
	int pending; /* not used yet: tell the authority when it is */
	uint64_t pos;
};

/* Identities under which handshakes have been completed. */
#define PSK_USED_MAX 64
struct psk_used {
	name_t audience;
	uint32_t n;
	char identity[PSK_USED_MAX][PSKID_LEN + 1];
};

/* The identity keys of one audience. Wiped by whoever holds the struct. */
#define IDENTITY_KEYS_MAX 16
struct identity_keys {
	name_t audience;
	uint32_t tenant;
	uint32_t n;
	uint8_t kid[IDENTITY_KEYS_MAX];
	struct key32 key[IDENTITY_KEYS_MAX];
};

#endif
