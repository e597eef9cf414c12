#ifndef TESTS_SCENARIO_WORLD_H
#define TESTS_SCENARIO_WORLD_H

#include "tests/unit/unit.h"

#include "tests/helpers/authd_fixture.h"
#include "tests/helpers/http_raw.h"
#include "tests/helpers/process.h"

/*
 * A tenant with all that belongs to it, in real processes: authd with its
 * database, a station, an example gateway, an order, burned devices. What
 * fails here fails the test, with what the program said.
 */
#define ROOM 400 /* of a path, a credential, an address */
struct world {
	struct authd_fixture *authd;
	int owner;	    /* of authd */
	char dir[ROOM];	    /* of files */
	char prefix[ROOM];  /* of paths: "" or "/t/NAME" */
	char admin[ROOM];   /* credential */
	char station[ROOM]; /* credential */
	char hub[ROOM];	    /* credential of the gateway */
	pid_t gateway;
	char gateway_log[ROOM];
	char listening[ROOM]; /* where it does */
	struct ran r;	      /* the last program */
	struct http_answer a; /* the last answer */
};
#define ISSUER "http://authority.test"

/* authd with more options, an admin's credential in dir/admin. */
void world_open(struct world *w, const char *const *extra);
/* A new tenant on the authd of other. */
void world_open_tenant(struct world *w, struct world *other,
    const char *name);
/* Callers line1 and hub1, audience hub at a closed port, order first for
 * quantity devices; no gateway. */
void world_order(struct world *w, unsigned quantity);
/* Starts the gateway of audience hub; issuer NULL: the URL. */
void world_gateway(struct world *w, const char *issuer);
/*
 * Its like that streams: a caller name of audience hub, in place of hub1, with
 * an enrolment; then (as often as one likes) the gateway by it, behind these
 * URLs (NULL-terminated), at "127.0.0.1:0" or where it was.
 */
void world_enrol(struct world *w, const char *name);
void world_follow(struct world *w, const char *const *urls, const char *at);
/* Ends everything, which must end well, and removes it. */
void world_close(struct world *w);

/* The base URL as it is now. */
const char *world_url(const struct world *w, char out[ROOM]);
/* dir/name */
const char *world_file(const struct world *w, const char *name,
    char out[ROOM]);

/* The last program said it. */
int world_says(const struct world *w, const char *text);
/* The program must succeed; w->r holds what it said. */
#define CTL(w, ...) \
	assert_int_equal(0, CTL_STATUS(w, __VA_ARGS__))
#define CTL_STATUS(w, ...) \
	world_ctl(w, (const char *const[]){__VA_ARGS__, NULL}, NULL)
int world_ctl(struct world *w, const char *const *args, const char *input);
void world_burn(struct world *w, const char *serial);
int world_burn_status(struct world *w, const char *serial);
/* examples/device with the record of serial; tls "1.3" or "1.2". */
#define DEVICE(w, serial, tls, ...) \
	world_device(w, serial, tls, \
	    (const char *const[]){__VA_ARGS__, NULL})
int world_device(struct world *w, const char *serial, const char *tls,
    const char *const *args);
/* A token by the device listener. */
#define TOKEN_ROOM 4200
void world_token(struct world *w, const char *serial, char out[TOKEN_ROOM]);
/* Shows a token at the gateway; the gateway's line is in w->r.out. */
int world_show(struct world *w, const char *serial, const char *token);

/*
 * A session at the gateway with a fresh token, which stays; what it hears is
 * in the file out. Ended by the gateway it is gone: world_ended waits for it.
 */
pid_t world_hold(struct world *w, const char *serial, char out[ROOM]);
void world_ended(pid_t *session);
/* Shows a token until the gateway gives this answer; fails after a minute. */
void world_shown(struct world *w, const char *serial, const char *token,
    const char *answer);

/* An HTTP request to authd (w's own path prefix is added); the status. */
int world_http(struct world *w, const char *method, const char *path,
    const char *credential, const char *body);
/* The same with a form. */
int world_form(struct world *w, const char *path, const char *credential,
    const char *form);
/* A client assertion made by device/; nonce NULL: by the clock at now. */
#define ASSERTION_ROOM 1300
struct assertion_of {
	const char *serial;
	int64_t now;
	const char *nonce;
};
void world_assertion(const struct world *w, const struct assertion_of *of,
    char out[ASSERTION_ROOM]);
/* The form that asks for a token by it. */
void world_grant(const char *assertion, char *out, size_t size);
/* Asks for a token by a fresh assertion; the status, answer in w->a. */
int world_redeem(struct world *w, const char *assertion);
/* Whether it says, to its gateway, that the token is active; with the answer
 * in w->a. */
int world_active(struct world *w, const char *token);
/* A nonce of the authority. */
void world_nonce(struct world *w, char out[ROOM]);
/* Member code of the last answer is this. */
int world_code(const struct world *w, const char *code);

/* One of the database's superuser's questions; the answer in w->r.out. */
void world_sql(struct world *w, const char *sql);
/* The same of one that may be away: psql's status. */
int world_sql_status(struct world *w, const char *sql);
/* The postmaster's process. */
pid_t world_postmaster(const struct world *w);

#endif
