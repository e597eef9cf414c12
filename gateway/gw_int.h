#ifndef GATEWAY_GW_INT_H
#define GATEWAY_GW_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <openssl/ssl.h>
#include "fealty/gateway.h"
#include "lib/base/clock.h"
#include "lib/client/client.h"
#include "lib/crypt/pskid.h"
#include "lib/jose/token.h"
#include "lib/model/caller.h"
#include "lib/revoke/revset.h"
#include "lib/revoke/token_cache.h"
#include "lib/client/stream.h"
#include "lib/jose/set.h"
#include "lib/wire/feed.h"

/*
 * The inside of libfealty-gateway. Each module has its own lock and holds no
 * other meanwhile, but for fetches and first uses over the pool's. No lock is
 * held across a request or a call into the host.
 *
 * The order of a revocation: the set first, then caches and sessions. What
 * enters a cache or registers is judged by the set under the lock that the
 * purge takes, so either the judge or the purge finds it.
 */
#define GW_URLS_MAX 8
#define GW_SOURCE 64 /* room for an address as text */
#define GW_LEEWAY 60 /* seconds, on a token's exp and iat */

/* ---- one connection to the authority (gw_link.c) ---- */
struct link {
	struct client *client[GW_URLS_MAX];
	uint32_t n;
	uint32_t current;
};
struct link_conf {
	const char *const *urls;
	uint32_t nurls;
	const char *ca_file;
	const struct secret *credential;
	uint32_t timeout_ms;
	size_t answer_max; /* octets; 0: a megabyte */
};
enum err link_open(struct link *l, const struct link_conf *conf) MUST_CHECK;
void link_close(struct link *l);
/* From now on the next URL. */
void link_next(struct link *l);
/* One request; the next URL when one cannot be reached. */
enum err link_call(struct link *l, const char *method, const char *path,
    const struct buf *body, struct buf *answer, struct problem *why)
    MUST_CHECK;

/* ---- keys of devices (gw_cache.c) ---- */
/* What a look-up found; with err the authority's refusal. Holds a key. */
struct gw_psk {
	char identity[PSKID_LEN + 1];
	int tls; /* 12, 13 */
	enum err err;
	int64_t until; /* monotonic ms; of a refusal only */
	struct psk_answer answer;
};
void gw_psk_wipe(struct gw_psk *p);
struct gw_cache;
enum err gw_cache_new(uint32_t max, struct gw_cache **out) MUST_CHECK;
void gw_cache_free(struct gw_cache **c);
/*
 * Keeps p unless the set says that it is dead by now: then its error.
 * Inserting and purging exclude each other, so that no fill outlives an
 * event it raced with.
 */
enum err gw_cache_put(struct gw_cache *c, const struct revset *set,
    const struct gw_psk *p) MUST_CHECK;
/* 1 and a copy, or 0. now: monotonic ms. */
int gw_cache_get(struct gw_cache *c, uint64_t dn, const char *identity,
    int tls, int64_t now, struct gw_psk *out);
/* Removes what the set says is dead: of one device, or (dn 0) of all. */
void gw_cache_purge(struct gw_cache *c, const struct revset *set,
    uint64_t dn);
void gw_cache_clear(struct gw_cache *c);
/* 1 and the identity and name of a device that has a key here, or 0. */
int gw_cache_known(struct gw_cache *c, uint64_t dn, struct gw_psk *out);

/* 1: the key of this identity is at hand, for one TLS or the other. */
int gw_cache_has(struct gw_cache *c, uint64_t dn, const char *identity);
/* 1 and an identity of that epoch whose first use is to be told, or 0. */
int gw_cache_pending(struct gw_cache *c, uint64_t dn, uint32_t epoch,
    char identity[PSKID_LEN + 1]);
/* It has been told. */
void gw_cache_used(struct gw_cache *c, uint64_t dn, uint32_t epoch);

/* ---- why a device is blocked, as the authority said (gw_why.c) ---- */
struct gw_why;
enum err gw_why_new(struct gw_why **out) MUST_CHECK;
void gw_why_free(struct gw_why **w);
/* Remember the name, and the exact error once known (ERR_OK: not yet). */
void gw_why_put(struct gw_why *w, uint64_t dn, uint64_t event,
    const char *device_id, enum err err);
/* The exact error in place of e, and the name ("" if unknown). */
enum err gw_why_get(struct gw_why *w, uint64_t dn, uint64_t event,
    enum err e, name_t device_id);

/* ---- tokens (gw_token.c) ---- */
/*
 * What a token leaves in the cache once its signature, issuer and audience
 * were good: what is judged or told at each use, and no more. Groups and
 * texts one after the other in rest, as they are mostly few and short, and
 * memory is what a hit costs.
 */
enum { SEEN_SUB, SEEN_JTI, SEEN_KID, SEEN_SCOPE, SEEN_TEXTS };
struct gw_seen {
	int64_t exp, iat;
	uint64_t dn, pos;
	uint32_t tid, ep;
	uint16_t ngrp, len[SEEN_TEXTS];
	char rest[FEALTY_GROUPS * sizeof(uint32_t) + 3 * FEALTY_NAME +
	    FEALTY_SCOPE];
};

/* ---- bad handshakes of one source (gw_rate.c) ---- */
struct gw_rate;
enum err gw_rate_new(uint32_t burst, uint32_t per_minute,
    struct gw_rate **out) MUST_CHECK;
void gw_rate_free(struct gw_rate **r);
/* 1: this source has used up its failures. */
int gw_rate_over(struct gw_rate *r, const char *source, int64_t now);
/* One more failure. 1: it was the one that used them up. */
int gw_rate_take(struct gw_rate *r, const char *source, int64_t now);

/* ---- threads that may wait for the authority (gw_pool.c) ---- */
struct worker {
	struct fealty_gateway *g;
	struct link link;
	pthread_t thread;
};
struct job {
	struct job *next;
	/* w NULL: the pool stops, finish without a request */
	void (*run)(struct job *j, struct worker *w);
};
struct pool;
enum err pool_new(struct fealty_gateway *g, const struct link_conf *conf,
    uint32_t threads, uint32_t queue, struct pool **out) MUST_CHECK;
/* ERR_BUSY when the queue is full; prio 0 keeps half of it for prio 1. */
enum err pool_submit(struct pool *p, struct job *j, int prio) MUST_CHECK;
void pool_stop(struct pool *p);
void pool_free(struct pool **p);

/* ---- fetching a key (gw_fetch.c) ---- */
struct conn;
struct fetch;
struct fetches;
enum err fetches_new(struct fetches **out) MUST_CHECK;
void fetches_free(struct fetches **f);
/* Joins or starts the fetch for c's identity. ERR_BUSY, ERR_NOMEM. */
enum err fetch_join(struct fealty_gateway *g, struct conn *c) MUST_CHECK;
/* 1 and the result when it is over (c has then left it), else 0. */
int fetch_result(struct conn *c, struct gw_psk *out);
void fetch_leave(struct conn *c);
/* Asks the authority now, fills the cache. Workers only. */
void fetch_now(struct worker *w, const struct pskid *id,
    const char *identity, int tls, struct gw_psk *out);
/* Have the reason for a block looked up, some time, perhaps. */
void fetch_reason(struct fealty_gateway *g, const struct gw_psk *known,
    uint64_t event);

/* ---- the identity keys (gw_ident.c) ---- */
struct gw_ident;
enum err gw_ident_new(struct gw_ident **out) MUST_CHECK;
void gw_ident_free(struct gw_ident **i);
void gw_ident_set(struct gw_ident *i, const struct identity_keys *k);
/*
 * ERR_IDENTITY: not made by the authority for us. ERR_NOT_FOUND: perhaps,
 * under an identity key that is not here.
 */
enum err gw_ident_open(struct gw_ident *i, const char *identity, size_t len,
    struct pskid *out) MUST_CHECK;
/* The key for an identity that has none: constant, unpredictable. */
void gw_ident_decoy(struct gw_ident *i, int tls, const void *identity,
    size_t len, struct key32 *out);

/* ---- sessions (gw_session.c) ---- */
struct gw_sessions;
enum err gw_sessions_new(uint32_t max, struct gw_sessions **out) MUST_CHECK;
void gw_sessions_free(struct gw_sessions **s);
/*
 * Ends those that the set says are dead: of one device, or (dn 0) of any;
 * with all every one.
 */
void gw_sessions_cut(struct fealty_gateway *g, uint64_t dn, bool all);
/* Ends every one because the authority is out of touch. */
void gw_sessions_end(struct fealty_gateway *g, enum err why);
/*
 * All events up to pos, heard at heard_us, have been applied and those whom
 * they name called. Once all of these are gone a receipt is due.
 */
void gw_sessions_applied(struct fealty_gateway *g, uint64_t pos,
    int64_t heard_us);

/* ---- receipts (gw_receipt.c) ---- */
struct receipts;
enum err receipts_new(struct fealty_gateway *g, const struct link_conf *conf,
    const char *instance, struct receipts **out) MUST_CHECK;
void receipts_stop(struct receipts *r);
void receipts_free(struct receipts **r);
/* Everything up to pos is enforced; closed sessions were ended for it. */
void receipts_note(struct receipts *r, uint64_t pos, uint32_t closed,
    int64_t took_us);
/* From now on receipts speak of sessions. */
void receipts_have_sessions(struct receipts *r);

/* ---- first uses of a new key (gw_used.c) ---- */
struct gw_used;
enum err gw_used_new(struct fealty_gateway *g, struct gw_used **out)
    MUST_CHECK;
void gw_used_free(struct gw_used **u);
/* A handshake is complete, or a session there: told if the cache says that
 * its epoch is pending. */
void gw_used_peer(struct fealty_gateway *g, const struct fealty_device *peer);
/* Now and then: what could not be told is tried again. */
void gw_used_kick(struct fealty_gateway *g);

/* ---- a handshake (gw_conn.c, gw_tls.c) ---- */
enum conn_work { WORK_NONE, WORK_UNDER_WAY, WORK_RETURNED };
struct conn {
	struct job job; /* first: a step of TLS 1.2 on a worker */
	struct fealty_gateway *g;
	SSL *ssl;
	int tls;	    /* 12, 13; 0 before the ClientHello */
	bool stepping;	    /* driven by fealty_tls_step */
	bool asked;	    /* the look-up is over */
	bool known;	    /* psk is a real one, of a good device */
	bool spent;	    /* the key was used and wiped */
	bool limited;	    /* source over its limit: log nothing more */
	enum err why;	    /* why not known */
	uint64_t event;	    /* that killed it, or 0 */
	size_t identity_len;
	char identity[PSKID_LEN + 1];
	struct pskid id;
	struct gw_psk psk;
	char source[GW_SOURCE];
	struct worker *worker; /* whose step it is; NULL: the host's */
	int key_fd;	       /* eventfd or -1 */
	/* under fetches' lock */
	struct fetch *fetch;
	struct conn *next_waiter;
	/* under work_lock of the gateway */
	enum conn_work work;
	enum fealty_step work_result;
	bool abandoned;
};
/* The SSL's, made on first use; NULL when out of memory. */
struct conn *conn_get(struct fealty_gateway *g, SSL *ssl);
struct conn *conn_peek(const SSL *ssl);
enum err conn_init_once(void) MUST_CHECK; /* OpenSSL's index numbers */
/* The context holds on to the gateway. 0 when OpenSSL refuses. */
int conn_bind_context(SSL_CTX *ctx, struct fealty_gateway *g);
int conn_key_fd(struct conn *c); /* 1: it has one */
void conn_wake(struct conn *c);	 /* makes it readable */
/* Its time is up: the end, told with its source. No worker has it. */
void conn_late(struct conn *c);
/* Whether the finished handshake rests on the key and on nothing else. */
bool conn_rests_on_key(const struct conn *c);
/* Looks the identity up as far as can be without waiting. 1: over. */
int conn_look_up(struct conn *c, const char *identity, size_t len);

/* ---- the library's own loop (gw_loop.c) ---- */
struct loop;
enum err loop_new(struct fealty_gateway *g, uint32_t max, struct loop **out)
    MUST_CHECK;
void loop_stop(struct loop *l); /* everything under way fails */
void loop_free(struct loop **l);

/* ---- following the authority (gw_feed.c) ---- */
void *feed_thread(void *gateway);
/* How often keys are fetched at most, and how old they may get, in ms. */
#define KEYS_MIN_MS 2000
#define KEYS_MAX_MS 300000
#define IDENTITY_KEYS_MIN_MS 60000
/* Set, caches and sessions; not yet the position. */
enum err gw_apply(struct fealty_gateway *g, const struct event *ev, size_t n)
    MUST_CHECK;
/* The set's position is enforced from now on. */
void gw_publish(struct fealty_gateway *g, int64_t heard_us);
/* Drops every key, cached token and session from before floor. */
void gw_below_floor(struct fealty_gateway *g, uint64_t floor);
/* Sessions of a gateway that is closed for being stale. Follower only. */
void gw_end_stale(struct fealty_gateway *g);
/* Log being in or out of touch, when that changes. Follower only. */
void gw_tell_touch(struct fealty_gateway *g, enum err e);
/* Whether keys last tried then are to be fetched again. */
bool gw_keys_due(bool wanted, int64_t tried, int64_t now, int64_t least);
enum err gw_adopt_tenant(struct fealty_gateway *g, uint32_t tenant)
    MUST_CHECK;
enum err gw_fetch_identity_keys(struct fealty_gateway *g, struct link *l)
    MUST_CHECK;
/* The follower has been round: whoever waits looks again. */
void gw_round_over(struct fealty_gateway *g);
/* Sleeps until poked (true), stopped or that time of gw_tick. */
bool gw_pause(struct fealty_gateway *g, int64_t until_ms);
bool gw_stopping(struct fealty_gateway *g);

/* ---- following with verification (gw_follow.c, gw_beat.c, ...) ---- */
#define BEAT_MAX 2048
struct follow {
	struct stream *stream[GW_URLS_MAX];
	uint32_t n, current;
	struct link bulk; /* for snapshots: patient */
	bool running;	  /* a stream is under way */
	bool spoke;	  /* and has said something that is right */
	bool snapshot;	  /* needed before anything else */
	unsigned gaps;	  /* since something was right */
	unsigned failures;
	unsigned refused; /* snapshots, since one was right */
	/* tick ms */
	int64_t spoke_at, next_try, next_poll, next_expiry, next_snapshot;
	uint64_t base; /* where we were at the head the last time; 0: never */
	int64_t behind; /* tick ms since when; 0: not */
	struct heartbeat beat, waiting; /* newest; one beyond our position */
	int64_t waiting_at;
	pthread_mutex_t beat_lock; /* of beat_text: saving reads it too */
	char beat_text[BEAT_MAX];
	enum err last;
	_Atomic enum err chores_err;
	unsigned seed;
};
enum err follow_new(struct fealty_gateway *g, const struct link_conf *conf,
    struct follow **out) MUST_CHECK;
void follow_free(struct follow **f);
void follow_wake(struct follow *f);
void *follow_thread(void *gateway);
/* One signed message; what is refused is logged. */
enum err follow_run_text(struct fealty_gateway *g, const char *text,
    size_t len, int64_t heard_us) MUST_CHECK;
enum err follow_beat_text(struct fealty_gateway *g, const char *text,
    size_t len) MUST_CHECK;
/* The position has grown: perhaps a heartbeat counts now. */
void follow_settle(struct fealty_gateway *g);
/* Asks for what is new instead of listening. */
enum err follow_poll(struct fealty_gateway *g) MUST_CHECK;
enum err follow_snapshot(struct fealty_gateway *g) MUST_CHECK;

/* ---- the key set (gw_keys.c) ---- */
enum err keyset_adopt(struct fealty_gateway *g, const char *text, size_t len)
    MUST_CHECK;
enum err keyset_fetch(struct fealty_gateway *g, struct link *l) MUST_CHECK;

/* ---- what can wait, on the pool (gw_chores.c) ---- */
struct chores;
enum err chores_new(struct fealty_gateway *g, struct chores **out) MUST_CHECK;
void chores_free(struct chores **c);
void chores_start_due(struct fealty_gateway *g);

/* ---- what outlives a restart (gw_state.c) ---- */
struct state;
enum err state_new(const char *path, const char *key_file,
    const struct secret *credential, struct state **out) MUST_CHECK;
void state_free(struct state **s);
void state_load(struct fealty_gateway *g);
bool state_due(struct fealty_gateway *g);
void state_save(struct fealty_gateway *g);

/* ---- the enrolment (gw_enrol.c) ---- */
#define ENROL_URL 256
struct enrolment {
	char issuer[ISSUER_MAX + 1];
	char url[GW_URLS_MAX][ENROL_URL];
	uint32_t nurls;
	name_t gateway;
	name_t audiences[CALLER_AUDIENCES_MAX];
	uint32_t naudiences;
	struct secret credential;
	struct verifier *root;
};
enum err enrolment_read(const char *path, struct enrolment *out,
    struct detail *d) MUST_CHECK;
void enrolment_free(struct enrolment *e);

/* ---- options (gw_options.c) ---- */
struct gw_options {
	struct fealty_options o; /* whole and checked; points into what follows
				    and to the host's */
	struct enrolment enrolment;
	const char *urls[GW_URLS_MAX];
	struct secret credential;
};
enum err gw_options_take(const struct fealty_options *given,
    struct gw_options *out, struct detail *d) MUST_CHECK;
void gw_options_free(struct gw_options *o);

/* Wake the follower: soon, please. */
void feed_poke(struct fealty_gateway *g, bool jwks);
/* In its next round, if that is not too often; it is not woken. */
void feed_want_identity_keys(struct fealty_gateway *g);
/* Waits until the follower has been round again; 0 at the deadline. */
int feed_wait(struct fealty_gateway *g, uint64_t rounds, int64_t deadline);

struct fealty_gateway {
	_Atomic unsigned refs; /* the host's, each context's, each conn's */
	name_t audience;
	char issuer[ISSUER_MAX + 1];
	uint32_t poll_ms;
	uint32_t max_stale_ms, stale_limit_ms;
	bool stale_open, end_stale_sessions, closed_for_stale;
	fealty_log_fn *_Atomic log; /* NULL once closed */
	void *log_arg;
	struct gw_clock {
		struct clock clock; /* first */
		struct fealty_clock host;
	} host_clock;
	const struct clock *clock; /* of policy; waits are real */

	struct pool *pool;
	struct fetches *fetches;
	_Atomic int64_t away_until; /* see gw_fetch.c; 0: it answers */
	struct gw_cache *cache;
	struct gw_why *why;
	struct gw_rate *rate;
	struct gw_ident *ident;
	struct gw_sessions *sessions;
	struct gw_used *used;
	struct loop *loop;
	pthread_mutex_t work_lock;

	/* made when the tenant is known, then for good */
	struct revset *_Atomic set;
	_Atomic uint32_t tenant;
	_Atomic uint64_t enforced;
	_Atomic uint64_t head; /* as the authority last said */
	_Atomic int64_t heard; /* monotonic ms, -1: never */
	/* the authority's clock then, ms; 0 without heartbeats */
	_Atomic int64_t beat_ms;
	struct verifier *root; /* pinned; NULL: not enrolled */
	struct follow *follow;
	struct chores *chores;
	struct held *held; /* with follow */
	struct state *state;
	struct receipts *receipts;

	pthread_rwlock_t keys_lock; /* of jwks and what is cached under it */
	struct jwks *jwks;
	struct token_cache *tokens;
	unsigned char jwks_digest[32];
	struct jwks *feed_keys;
	uint64_t keys_version;
	struct buf keys_text; /* the key set as signed */

	struct link link; /* the follower's */
	pthread_t follower;
	bool following;
	pthread_mutex_t feed_lock;
	pthread_cond_t feed_cond;
	/* changed under feed_lock, as the rest */
	_Atomic uint64_t rounds;
	bool poked, want_jwks, want_identity_keys, stopping;
	_Atomic int64_t jwks_tried; /* monotonic ms */
	int64_t identity_keys_tried; /* follower only */
	bool in_touch;
};

/* Contexts and connections keep the memory, not the threads and keys. */
void gateway_ref(struct fealty_gateway *g);
void gateway_unref(struct fealty_gateway *g);
/* How far what is known can be believed, from one look at the clocks. */
struct freshness {
	enum err err;	/* ERR_OK, ERR_NOT_READY or ERR_STALE */
	bool stale;	/* ERR_OK, but only for the policy */
	uint64_t age;	/* ms; UINT64_MAX: never heard */
	int64_t wall_s; /* the time, at least */
};
void gw_look(const struct fealty_gateway *g, struct freshness *out);
enum err gw_fresh(const struct fealty_gateway *g) MUST_CHECK;
/* What time it is at least, by our clock and by what the authority said. */
int64_t gw_wall_s(const struct fealty_gateway *g);
int64_t gw_tick_us(void); /* real monotonic time, for waits and measures */
#define gw_tick() (gw_tick_us() / 1000)
/* A claim judged by the set; names the event. */
enum err gw_judge(const struct fealty_gateway *g, const struct claim *c,
    uint64_t *by) MUST_CHECK;
void gw_log(struct fealty_gateway *g, const struct fealty_log *entry);
/* The same with fewer words. */
void gw_note(struct fealty_gateway *g, enum fealty_level level,
    const char *event, enum err e, const char *reason);
/* What to say of e here. */
const char *gw_text(enum err e);
void gw_claim(const struct fealty_device *p, struct claim *out);
void gw_refuse(struct fealty_decision *d, enum err e, const char *reason);
int64_t gw_now(const struct fealty_gateway *g); /* monotonic ms */

#endif
