#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "authd/core/core.h"
#include "lib/crypt/signer.h"
#include "lib/jose/jwe.h"

/*
 * An authority over the store in memory, with a clock that the test turns:
 * audiences edge and depot, station line-1 (and line-2), gateway gw of edge,
 * admin, order o1 of model m1 for line-1 and line-2, peered with both.
 */
struct turned_clock {
	struct clock clock;
	_Atomic int64_t wall, mono;
};
struct fixture {
	struct turned_clock time;
	struct core_conf conf;
	char dir[64], kek[96], db[400];
	struct core *core;
	const struct core_tenant *tenant;
	struct caller admin, line1, line2, gateway, other_gateway;
	struct secret admin_credential;
};
/* cmocka's setup and teardown; *state is a struct fixture. */
int fixture_open(void **state);
int fixture_close(void **state);

/* A call of a caller that may block. */
struct core_call fixture_call(struct fixture *f, const struct caller *who);
/* Let time pass; the follower goes on confirming. */
void fixture_pass(struct fixture *f, int64_t ms);
/* Waits until the authority is ready again. */
void fixture_ready(struct fixture *f);
void fixture_caller(struct fixture *f, const char *name, enum role role,
    const char *audience, struct caller *out);
void fixture_order(struct fixture *f, const char *name, uint32_t quantity,
    struct order *out); /* as it will be created; not yet */
void fixture_add_order(struct fixture *f, struct order *o);

/* A burned device as the device itself would know it. */
struct unit {
	struct device device;
	struct key32 k;
	struct release release;
	const char *identity; /* for the authority, within release */
};
/* reserve, release, with K decrypted as the station would. */
void fixture_release(struct fixture *f, const char *order,
    const char *serial, struct unit *u);
enum err fixture_confirm(struct fixture *f, const struct caller *station,
    const struct unit *u, enum proof proof, struct device *out);
/* All of it. */
void fixture_burn(struct fixture *f, const char *order, const char *serial,
    struct unit *u);
const char *unit_identity(const struct unit *u, const char *audience);

/* A client assertion; members NULL or 0 are what is right. */
struct statement {
	const char *kid, *iss, *aud, *jti, *nonce;
	int64_t iat, exp;
	int wrong_key;
	const struct signer *own; /* ES256 by it, not HS256 */
};
void fixture_assertion(struct fixture *f, const struct unit *u,
    const struct statement *s, char *out, size_t size);
enum err fixture_token(struct fixture *f, const struct unit *u,
    struct token_answer *out); /* over TLS-PSK; frees what was there */
enum err fixture_introspect(struct fixture *f, const struct token_answer *t);
/* How many audit rows have the action and outcome. */
unsigned fixture_audited(struct fixture *f, const char *action,
    const char *outcome);
enum err fixture_effect(struct fixture *f, const char *device_id,
    enum event_effect effect, int revoke);

#endif
