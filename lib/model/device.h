#ifndef MODEL_DEVICE_H
#define MODEL_DEVICE_H

#include "lib/model/names.h"

enum device_state {
	DEV_RESERVED, /* has a number */
	DEV_BURNING,  /* key released to a station */
	DEV_ACTIVE,   /* the authority has seen a proof */
	DEV_SUSPENDED,
	DEV_REVOKED,  /* final for its keys */
	DEV_ERASED,   /* key material destroyed */
	DEV_VOID      /* reserved or burning, expired or scrapped */
};
#define DEVICE_STATES (DEV_VOID + 1)
const char *device_state_name(enum device_state s); /* "active" */
enum err device_state_parse(const char *s, enum device_state *out) MUST_CHECK;
/* Why a device in this state may not authenticate; ERR_OK for active. */
enum err device_state_refusal(enum device_state s);

enum proof {
	PROOF_NONE,
	PROOF_DEVICE, /* the device itself answered the challenge */
	PROOF_MEDIUM, /* the station computed it from what it read back */
	PROOF_DEVICE_MADE
};
const char *proof_name(enum proof p); /* "none", "device", "medium", ... */
enum err proof_parse(const char *s, enum proof *out) MUST_CHECK;

/* 1 if an order that demands least takes p. */
int proof_suffices(enum proof p, enum proof least);

/* The public half of a device's own P-256 key pair, as it is registered. */
#define PUBLIC_KEY_LEN 64
struct device_public {
	int there;
	unsigned char xy[PUBLIC_KEY_LEN]; /* x || y */
};

#define DEVICE_GROUPS_MAX 8

struct device {
	uint32_t tenant;
	uint64_t dn; /* dense per tenant, from 1, below 2^53 */
	name_t device_id;
	name_t serial;
	name_t order;
	name_t model;
	enum device_state state;
	enum proof proof;
	int unproven; /* by the medium alone: it has not authenticated since */
	uint32_t epoch;	  /* of its root key in use, from 1 */
	uint32_t pending; /* one it has been given and not used yet; 0 */
	/* Somebody proved to hold the key of a dead epoch: how often, when
	 * last (unix seconds) and which; 0 never. */
	uint32_t clones;
	int64_t clone_at;
	uint32_t clone_epoch;
	uint32_t groups[DEVICE_GROUPS_MAX];
	uint32_t ngroups;
	int64_t created_at; /* unix seconds */
	int64_t changed_at;
};

/* 1: the authority has seen a proof of it, and it is not erased. */
int device_had_proof(const struct device *d);
/* 1: the epoch is in use, or given and not used yet. */
int device_epoch_valid(const struct device *d, uint32_t epoch);

/* What a listing asks for; empty members do not filter. */
struct device_filter {
	int has_state;
	enum device_state state;
	name_t order;
	name_t model;
	name_t prefix; /* of device_id */
	uint32_t group;
	uint64_t after; /* device number of the last row seen, 0 first page */
	uint32_t limit; /* 1 to 1000 */
};

#endif
