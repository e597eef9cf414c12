#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/jose/token.h"
#include "lib/model/audit.h"
#include "lib/model/caller.h"
#include "lib/model/exchange.h"
#include "lib/model/held.h"
#include "lib/model/receipt.h"
#include "lib/model/ticket.h"

/*
 * The decisions of the authority: who may do what, and what then happens. No
 * HTTP, no SQL, no JSON in here. Straight-line and synchronous; safe to call
 * from many threads.
 *
 * Every decision function takes a struct core_call. With may_block 0 it is
 * answered from memory or not at all (ERR_WOULD_BLOCK, nothing done): event
 * loops call it so, then hand the same call to a worker with may_block 1.
 *
 * Authorisation by role is the route table's (authd/http); scope, tenant and
 * state are decided here. Decisions of consequence write their audit row in
 * their own transaction, refusals too.
 */
struct core;

struct core_conf {
	const char *issuer;	 /* base URL, no trailing slash */
	const char *conninfo;	 /* role fealty_app */
	const char *kek_file;	 /* 32 octets as 64 hex digits, mode 0600 */
	const char *device_host; /* device listener as devices reach it */
	uint16_t device_port;
	uint32_t sessions;	 /* database sessions for workers */
	uint64_t token_life;	 /* seconds, 1 to TOKEN_LIFE_MAX */
	size_t device_cache;	 /* devices kept in memory */
	size_t token_cache;	 /* verified tokens kept in memory */
	int suppress_notify;	 /* follow by polling only (tests) */
	uint32_t poll_ms;	 /* of the follower; 0: 200 */
	const struct clock *clock;
};
/*
 * Opens the store, makes what a new database lacks (keys of the authority,
 * tenant default), loads the keys and starts the follower.
 */
enum err core_open(const struct core_conf *conf, struct core **out,
    struct detail *d) MUST_CHECK;
void core_close(struct core **c);
/*
 * A database without any admin in tenant default gets one: *made 1; else 0.
 * keep stores its credential for good (0600) and runs before the admin is
 * committed, so that none exists whose credential nobody holds; it may run
 * again for a credential that replaces the one before.
 */
typedef enum err core_keep_fn(void *arg, const struct secret *credential);
enum err core_first_admin(struct core *c, core_keep_fn *keep, void *arg,
    int *made) MUST_CHECK;
/* device_host/port once the listener is bound (before any request). */
void core_set_device_endpoint(struct core *c, const char *host,
    uint16_t port);
/*
 * ERR_OK while the follower has confirmed the head by a replicated write
 * within 2 s; else ERR_NOT_READY.
 */
enum err core_ready(const struct core *c);

/* A tenant as loaded; lives as long as the core. */
struct core_tenant;
/* NULL when unknown (a new one appears within the follower's interval). */
const struct core_tenant *core_tenant_find(struct core *c, const char *name);
const char *core_tenant_name(const struct core_tenant *t);
const char *core_tenant_issuer(const struct core_tenant *t);
/* The position its follower has published. */
uint64_t core_tenant_position(const struct core_tenant *t);
/*
 * ERR_NOT_READY when the core is, or while signed events of the tenant are
 * known to be lost (core_recover); d tells which.
 */
enum err core_tenant_ready(const struct core *c, const struct core_tenant *t,
    struct detail *d) MUST_CHECK;
/* RFC 7517 text, cached. */
enum err core_jwks(const struct core_tenant *t, struct buf *out) MUST_CHECK;
/* The signed key set (docs/feed.md). */
enum err core_keyset(const struct core_tenant *t, struct buf *out) MUST_CHECK;
/* The root key's public half: what gateways pin. As a JWK. */
enum err core_root_jwk(const struct core_tenant *t, struct buf *out)
    MUST_CHECK;

/* One call: who, where, and what is told back beside the error. */
struct core_call {
	struct core *core;
	const struct core_tenant *tenant; /* of the path */
	const struct caller *caller;	  /* NULL: none authenticated */
	int may_block;
	/*
	 * The question is what is dead: while not ready a caller who is only
	 * remembered may ask it, and is told nothing else.
	 */
	int asks_for_dead;
	int remembered; /* told back by core_authn: such a caller */
	char request_id[33];
	struct detail detail;	/* told back on errors */
	uint64_t devices;	/* told back with ERR_EXPECT */
	int64_t server_time;	/* told back with ERR_ASSERTION_TIME, NONCE */
};

/*
 * Whose credential this is. ERR_CREDENTIAL also for a caller that is
 * disabled, or of another tenant than the call's.
 */
enum err core_authn(struct core_call *call, const char *credential,
    size_t len, struct caller *out) MUST_CHECK;

/* ---- tokens ---- */
struct token_request {
	char scope[256]; /* "" : all the device has */
	name_t audience[TOKEN_AUD_MAX];
	uint32_t naudience; /* 0: all its peers */
	name_t client_id;   /* "" : not said; else it has to be the device */
};
struct token_answer {
	struct buf token; /* the caller sets .max; frees */
	int64_t expires_in;
	char scope[256];
};
enum err core_token_assertion(struct core_call *call, const char *jwt,
    size_t len, const struct token_request *req, struct token_answer *out)
    MUST_CHECK;
/*
 * Several that came at about the same time: each is decided as by itself,
 * but their marks share one wait. With may_block 0 in its call an assertion
 * of a device that is not in memory gets ERR_WOULD_BLOCK, nothing done; the
 * others' marks are waited for all the same.
 */
#define TOKEN_RUN_MAX 64
struct token_asked {
	struct core_call *call;
	const char *jwt;
	size_t len;
	const struct token_request *req;
	struct token_answer *out;
	enum err e; /* the outcome */
};
void core_token_run(struct core *c, struct token_asked *a, size_t n);
/* identity: as authenticated by the TLS-PSK handshake of this connection. */
enum err core_token_psk(struct core_call *call, const char *identity,
    const struct token_request *req, struct token_answer *out) MUST_CHECK;
#define NONCE_TEXT 129
enum err core_nonce(struct core_call *call, char out[NONCE_TEXT]) MUST_CHECK;

/* ERR_OK: active, json the RFC 7662 answer. Else why not (ERR_TOKEN_…);
 * ERR_TOKEN_AUDIENCE for a gateway that may not ask. */
enum err core_introspect(struct core_call *call, const char *token,
    size_t len, struct buf *json) MUST_CHECK;
/* RFC 7009; identity NULL: by a caller, else by that device itself. */
enum err core_token_revoke(struct core_call *call, const char *identity,
    const char *token, size_t len) MUST_CHECK;

/* ---- device listener ---- */
/*
 * The PSK for a handshake; may take a moment (blocking pool). A device that
 * is suspended or revoked gets its handshake, and no more: each request then
 * tells it why. On any error
 * the listener uses core_decoy instead, so that a stranger learns nothing,
 * and logs the reason. tls is 12 or 13. *news 1: core_listener_used is to be
 * called once the handshake is complete; it may take a moment too.
 */
enum err core_listener_psk(struct core *c, const char *identity, size_t len,
    int tls, struct key32 *out, int *news) MUST_CHECK;
void core_listener_used(struct core *c, const char *identity,
    const char *request_id);
void core_decoy(struct core *c, const char *identity, size_t len,
    struct key32 *out);
/* The tenant an authority identity belongs to; NULL when it opens not. */
const struct core_tenant *core_identity_tenant(struct core *c,
    const char *identity, size_t len);
enum err core_device_self(struct core_call *call, const char *identity,
    struct device *out, uint64_t *pos) MUST_CHECK;
enum err core_device_peers(struct core_call *call, const char *identity,
    struct peer *peers, uint32_t *n) MUST_CHECK; /* RECORD_PEERS_MAX */

/* ---- rotation: docs/rotation.md ---- */
/*
 * The record of the next epoch, which is pending from then on. The same
 * request gets the same again; another one gets another epoch, and what was
 * pending is dead. The caller wipes *out.
 */
#define ROTATE_REQUEST_LEN 16
enum err core_rotate(struct core_call *call, const char *identity,
    const unsigned char request[ROTATE_REQUEST_LEN], struct record *out)
    MUST_CHECK;
/* A challenge for the pending epoch. ERR_WRONG_STATE: there is none. */
enum err core_rotate_challenge(struct core_call *call, const char *identity,
    uint32_t *epoch, unsigned char challenge[CHALLENGE_LEN]) MUST_CHECK;
/* The answer to it, a first use; again without harm. req->proof is unused. */
enum err core_rotate_prove(struct core_call *call, const char *identity,
    const struct confirm *req, struct device *out) MUST_CHECK;

/* ---- registry ---- */
#define CORE_LIST_MAX 1000
enum err core_tenant_create(struct core_call *call, const char *name,
    uint32_t *number, char issuer[ISSUER_MAX + 1],
    struct secret *admin_credential) MUST_CHECK;
enum err core_audience_put(struct core_call *call,
    const struct audience *a) MUST_CHECK;
enum err core_audience_list(struct core_call *call, struct audience *rows,
    size_t max, size_t *n) MUST_CHECK;
enum err core_order_create(struct core_call *call, struct order *o)
    MUST_CHECK; /* completes o */
enum err core_order_get(struct core_call *call, const char *name,
    struct order *out) MUST_CHECK;
enum err core_order_list(struct core_call *call, struct order *rows,
    size_t max, size_t *n) MUST_CHECK;
/* Admin, auditor, or a station of the order; else ERR_NOT_FOUND. */
enum err core_order_summary(struct core_call *call, const char *name,
    struct order_summary *out) MUST_CHECK;
enum err core_order_close(struct core_call *call, const char *name,
    struct order *out) MUST_CHECK;
/*
 * A page of the order's signed manifest (lib/jose/manifest.h), of units with
 * numbers above after, and the key set it is under.
 */
struct manifest_text {
	struct buf page, keys; /* the caller sets .max of both; frees */
	uint64_t upto;
	int end;
};
enum err core_order_manifest(struct core_call *call, const char *name,
    uint64_t after, struct manifest_text *out) MUST_CHECK;
enum err core_group_create(struct core_call *call, const char *name,
    struct group *out) MUST_CHECK;
enum err core_group_list(struct core_call *call, struct group *rows,
    size_t max, size_t *n) MUST_CHECK;
/* join 1: add, 0: remove. Cuts the device. */
enum err core_group_member(struct core_call *call, uint32_t group,
    const char *device_id, int join, struct device *out) MUST_CHECK;
enum err core_caller_create(struct core_call *call, struct caller *c,
    struct secret *credential) MUST_CHECK;
enum err core_caller_list(struct core_call *call, struct caller *rows,
    size_t max, size_t *n) MUST_CHECK;
enum err core_caller_disable(struct core_call *call, const char *name,
    struct caller *out) MUST_CHECK;
enum err core_audit_list(struct core_call *call, uint64_t after,
    uint32_t limit, struct audit *rows, size_t *n) MUST_CHECK;

/* ---- the burn ---- */
enum err core_reserve(struct core_call *call, const char *order,
    const char *serial, struct device *out, int *created) MUST_CHECK;
enum err core_release(struct core_call *call, const char *device_id,
    const struct release_request *req, struct release *out) MUST_CHECK;
enum err core_confirm(struct core_call *call, const char *device_id,
    const struct confirm *req, struct device *out) MUST_CHECK;
/* reason NULL: "". */
enum err core_void(struct core_call *call, const char *device_id,
    const char *reason, struct device *out) MUST_CHECK;

/*
 * A finished unit proves itself again, to a station of its order: a challenge
 * for the epoch in use, that can be answered once. The answer changes nothing
 * of the device. ERR_CHALLENGE, ERR_PROOF.
 */
enum err core_verify_challenge(struct core_call *call, const char *device_id,
    uint32_t *epoch, unsigned char challenge[CHALLENGE_LEN]) MUST_CHECK;
enum err core_verify(struct core_call *call, const char *device_id,
    const struct confirm *req, struct device *out) MUST_CHECK;

/*
 * A unit that came back may be burned again, into a new epoch, where its
 * order's policy has it so; reason is demanded. Again: yet another epoch.
 */
enum err core_device_approve(struct core_call *call, const char *device_id,
    const char *reason, struct device *out) MUST_CHECK;

/* ---- tickets: docs/tickets.md ---- */
/*
 * The identities of one order, for burns without network; the same request
 * gets the same again. The caller frees *out.
 */
enum err core_ticket_pull(struct core_call *call, const char *order,
    const struct ticket_request *req, struct ticket *out) MUST_CHECK;
/*
 * What was burned of it. ERR_OK: outcome says of each whether it is active;
 * an error: nothing is known of those whose outcome is not ERR_OK.
 */
enum err core_ticket_push(struct core_call *call, const char *ticket,
    const struct ticket_burn *burns, size_t n, struct ticket_result *out)
    MUST_CHECK;

/* ---- devices and revocation ---- */
enum err core_device_get(struct core_call *call, const char *device_id,
    struct device *out) MUST_CHECK;
enum err core_device_list(struct core_call *call,
    const struct device_filter *f, struct device *rows, size_t *n)
    MUST_CHECK;
/* effect LIFT: reinstate; BLOCK: suspend; revoke 1: for ever. */
enum err core_device_effect(struct core_call *call, const char *device_id,
    enum event_effect effect, int revoke, const char *reason,
    struct device *out, uint64_t *pos) MUST_CHECK;
/* devices: how many it hits (told also by dry_run, when *e is untouched). */
enum err core_revoke(struct core_call *call,
    const struct revocation_request *r, struct event *e, uint64_t *devices)
    MUST_CHECK;
enum err core_feed(struct core_call *call, uint64_t after, uint32_t limit,
    struct event *rows, size_t *n, uint64_t *head, uint64_t *floor)
    MUST_CHECK;

/* ---- the signed feed: docs/feed.md ---- */
struct feed_page_text {
	struct buf set;	      /* empty without events */
	struct buf heartbeat; /* the caller sets .max of both; frees */
};
/* The events that core_feed gave, signed. */
enum err core_feed_sign(struct core_call *call, uint64_t after,
    const struct event *rows, size_t n, uint64_t head,
    struct feed_page_text *out) MUST_CHECK;
/*
 * A heartbeat somebody holds. One of this tenant's whose head is beyond the
 * database stops the tenant (ERR_NOT_READY, so for all authd and for good);
 * any other text is nothing to us (ERR_OK).
 */
enum err core_feed_seen(struct core_call *call, const char *heartbeat,
    size_t len) MUST_CHECK;
/* Calls part for each signed part of a snapshot, in order. */
enum err core_snapshot(struct core_call *call,
    enum err (*part)(void *arg, const struct buf *jws), void *arg,
    uint64_t *head, uint64_t *floor) MUST_CHECK;

enum feed_kind { FEED_EVENTS, FEED_HEARTBEAT, FEED_KEYS };
struct feed_message;
enum feed_kind feed_message_kind(const struct feed_message *m);
uint64_t feed_message_id(const struct feed_message *m); /* a position */
const char *feed_message_text(const struct feed_message *m, size_t *len);
void feed_message_free(struct feed_message **m);

/*
 * One who listens. wake is called once after each core_sub_arm, from any
 * thread and under a lock: it must not call back in here. cut 1: it has
 * fallen too far behind (also without an arm), and gets FEED_END.
 */
struct feed_sub;
typedef void feed_wake(void *arg, int cut);
enum feed_next {
	FEED_MESSAGE,
	FEED_NONE, /* core_sub_arm, and wait */
	FEED_FILL, /* core_sub_fill, on a thread that may block */
	FEED_END
};
/*
 * after: all events up to it are known; UINT64_MAX: begin after the head.
 * only_events: it is woken by these, and reads nothing.
 */
enum err core_sub_open(struct core_call *call, uint64_t after,
    int only_events, feed_wake *wake, void *arg, struct feed_sub **out)
    MUST_CHECK;
enum feed_next core_sub_next(struct feed_sub *s, struct feed_message **out);
enum err core_sub_fill(struct core *c, const struct core_tenant *t,
    struct feed_sub *s) MUST_CHECK;
void core_sub_arm(struct feed_sub *s);
void core_sub_close(struct feed_sub **s);

#define RECOVER_SETS_MAX 4096
struct recovery {
	/* Heartbeat, NUL-terminated. NULL: the authority knows by itself. */
	const char *seen;
	/*
	 * Key set that the database has lost as well, or NULL: what its feed
	 * keys have signed is taken too.
	 */
	const char *keys;
	const char **sets; /* n of them */
	size_t n;
	/* No sets: what gateways have shown, if that is expect events. */
	int held;
	uint64_t expect;
};
struct recovered {
	uint64_t imported, position; /* position: of the cut */
};
/*
 * Takes back what others hold of this tenant's signed events, goes on in a
 * new generation, and cuts the tenant. ERR_REQUEST when nothing was lost.
 */
enum err core_recover(struct core_call *call, const struct recovery *r,
    struct recovered *out) MUST_CHECK;

/*
 * A gateway shows what it holds beyond the database: verified, kept beside
 * the events until a recovery, and the tenant stopped. Nothing acts on it.
 * ERR_WRONG_STATE: nothing of it is beyond the database. ERR_REQUEST: not
 * ours; what an unknown key has signed is passed over instead.
 */
struct held_taken {
	uint64_t after;	   /* what is before is not asked for */
	int known;	   /* the gateway has shown events before */
	uint64_t conflict; /* a position another one has shown otherwise */
};
enum err core_held_take(struct core_call *call, const struct recovery *r,
    struct held_taken *out) MUST_CHECK;
/* What is held; lost 0: nothing is known to be. */
struct held_report {
	uint64_t head, lost, events;
	struct held_run runs[HELD_RUNS_MAX]; /* the first ones */
	size_t nruns;
	struct held_by *by; /* malloc'ed */
	size_t nby;
};
enum err core_held_report(struct core_call *call, struct held_report *out)
    MUST_CHECK;
void core_held_free(struct held_report *r);

/* ---- receipts: docs/feed.md ---- */
/*
 * Whether the calling gateway may say so. ERR_BACKWARDS, audited, for a
 * position beyond the head.
 */
enum err core_receipt_check(struct core_call *call, const struct receipt *r)
    MUST_CHECK;
/*
 * Takes it: who waits for it hears at once. ERR_OK: done is called once,
 * from another thread, when it is kept, or cannot be.
 */
typedef void core_done(void *arg, enum err e);
enum err core_receipt_take(struct core_call *call, const struct receipt *r,
    core_done *done, void *arg) MUST_CHECK;
/*
 * What is known of an event's receipts. core_watch_wait: until all gateways
 * have said it, at most ms; ERR_OK: wake is called once, from another thread
 * and with no lock held, and w is not to be touched before.
 */
struct receipt_watch;
typedef void core_wake(void *arg);
enum err core_receipts(struct core_call *call, uint64_t pos,
    struct receipt_watch **out) MUST_CHECK; /* ERR_NOT_FOUND */
int core_watch_complete(const struct receipt_watch *w);
enum err core_watch_wait(struct core *c, struct receipt_watch *w, uint32_t ms,
    core_wake *wake, void *arg) MUST_CHECK; /* ERR_BUSY, ERR_NOT_READY */
enum err core_watch_report(const struct receipt_watch *w,
    struct receipt_report *out) MUST_CHECK;
void core_report_free(struct receipt_report *r);
void core_watch_free(struct receipt_watch **w);
/* Keeps what it has taken, wakes who waits, takes and waits no more. */
void core_receipts_stop(struct core *c);
/* The tenant's gateways: how far behind the feed each is. */
struct gateway_lag {
	name_t gateway;
	int heard;	       /* 0: never, and no figures */
	double lag_s, heard_s; /* heard_s: since */
};
enum err core_gateway_lags(struct core_call *call, struct gateway_lag *rows,
    size_t max, size_t *n) MUST_CHECK;

/* ---- gateways ---- */
enum err core_psk_resolve(struct core_call *call,
    const struct psk_request *req, struct psk_answer *out) MUST_CHECK;
/*
 * Handshakes completed at a gateway. *known: how many of the identities are
 * of the audience's devices; what it says of the others is nothing.
 */
enum err core_psk_used(struct core_call *call, const struct psk_used *used,
    uint32_t *known) MUST_CHECK;
enum err core_identity_keys(struct core_call *call, const char *audience,
    struct identity_keys *out) MUST_CHECK;

/* ---- explain ---- */
#define EXPLAIN_EVENTS 32
struct explanation {
	char what[16]; /* "token", "psk-identity", "device" */
	int has_device, has_claims;
	struct device device;
	struct token_claims claims;
	name_t audience; /* of a PSK identity */
	uint32_t epoch;	 /* likewise */
	enum err verdict; /* ERR_OK: it is or would be accepted */
	uint64_t pos;	  /* read at */
	struct event events[EXPLAIN_EVENTS]; /* that name it, newest first */
	size_t nevents;
};
enum explain_kind { EXPLAIN_TOKEN, EXPLAIN_IDENTITY, EXPLAIN_DEVICE };
enum err core_explain(struct core_call *call, enum explain_kind kind,
    const char *subject, size_t len, struct explanation *out) MUST_CHECK;

/* ---- figures for /metrics ---- */
struct core_figures {
	uint64_t tokens_issued, assertions_refused, introspections;
	uint64_t introspections_from_cache, psk_resolved, devices_cached;
	uint64_t events_applied, position, revoked_entries;
	uint64_t rotations, possible_clones;
};
void core_figures(const struct core *c, struct core_figures *out);

#endif
