#ifndef TESTS_RACE_H
#define TESTS_RACE_H

#include <stdatomic.h>
#include <stdint.h>
#include <fealty/gateway.h>

#include "tests/helpers/psk_client.h"
#include "tests/scenario/world.h"

/*
 * Issue against revocation: tokens are obtained at two authd, by either way,
 * while an admin revokes at either, and are shown to two gateways, one behind
 * each authd. What may be accepted is said by a model that knows nothing but
 * the tokens' claims and the events' positions as they were told.
 */
#define RACE_AUTHDS 2
#define RACE_DEVICES 8
#define RACE_GROUPS 3
#define RACE_MINTERS 4 /* two ways at each authd */
#define RACE_TRIES 6   /* of one minter in one round, at most */

/* An event as the admin was told of it. */
struct told {
	enum { T_DEVICE, T_GROUP, T_TENANT, T_TOKEN, T_KEY, T_KINDS } kind;
	enum { T_CUT, T_BLOCK, T_LIFT } effect;
	unsigned round, at; /* at: the authd that was asked */
	unsigned hit;	    /* devices, as the admin has to say */
	uint64_t number;	/* device, group */
	char id[FEALTY_NAME];	/* jti, kid */
	uint64_t pos;
	int64_t sent, acked; /* nanoseconds */
};

/* What a gateway said, and its position before it was asked. */
struct verdict {
	uint64_t before;
	int accepted;
	char code[FEALTY_CODE];
};
struct minted {
	char jwt[TOKEN_ROOM];
	size_t len;
	uint64_t pos, dn;
	uint64_t groups[FEALTY_GROUPS];
	unsigned ngroups, round, device, by;
	char jti[FEALTY_NAME], kid[FEALTY_NAME];
	int64_t asked, got; /* nanoseconds */
	struct verdict first[RACE_AUTHDS]; /* as soon as it was there */
};

/* All events, in the order of their positions. */
struct model {
	struct told *events;
	size_t n, max;
	struct told keys[1024]; /* those of kind T_KEY once more */
	size_t nkeys;
};
int model_add(struct model *m, const struct told *e);
int model_names(const struct told *e, const struct minted *t);
/* 1 if a gateway that has applied all events up to at must refuse t. */
int model_dead(const struct model *m, const struct minted *t, uint64_t at);
/* 1 if the authd must not have issued t: it had seen a block that named it. */
int model_unissuable(const struct model *m, const struct minted *t);

struct race_device {
	struct psk_device key;
	uint64_t dn;
	char name[FEALTY_NAME];
};
struct race {
	struct world *w[RACE_AUTHDS];
	struct fealty_gateway *gateway[RACE_AUTHDS];
	struct race_device device[RACE_DEVICES];
	/* of the round under way */
	unsigned round;
	unsigned named;	 /* bits: devices that its event names */
	int may_refuse;	 /* its event is a block */
	atomic_int acked; /* the admin has the answer */
};

/* One who obtains tokens, at one authd and in one way. */
struct minter {
	struct race *race;
	unsigned by, seed;
	int assertions; /* else by the device listener */
	struct psk_client link[RACE_DEVICES];
	char nonce[ROOM];
	int64_t nonce_until;
	struct http_answer a;
	struct minted got[RACE_TRIES]; /* this round's */
	size_t n;
	unsigned refused, away; /* by authd, since the beginning */
	char fault[400];
};
/*
 * Asks for a token of that device. 1 got, the next of m->got; 0 refused, or
 * to be tried again; -1: what must not be, told in m->fault.
 */
int minter_mint(struct minter *m, unsigned device);
/* A round of it: until it has asked after the admin had his answer. */
void minter_round(struct minter *m);
void minter_close(struct minter *m);
void race_check(const struct race *r, unsigned gateway,
    const struct minted *t, struct verdict *out);
int64_t race_now(void);

#endif
