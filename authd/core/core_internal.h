#ifndef CORE_CORE_INTERNAL_H
#define CORE_CORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "authd/core/core.h"
#include "authd/core/feed_hub.h"
#include "authd/core/stamp.h"
#include "authd/core/txn.h"
#include "authd/store/store.h"
#include "lib/crypt/pskid.h"
#include "lib/crypt/seal.h"
#include "lib/crypt/signer.h"
#include "lib/jose/set.h"
#include "lib/revoke/revset.h"
#include "lib/revoke/token_cache.h"

/*
 * What the files of authd/core share. Ownership: struct core owns all; the
 * tenants live as long as it does. Locks are leaves: none is held while
 * another is taken or while the store is asked.
 */
#define CORE_READY_MS 2000   /* a confirmation counts for so long */
#define CORE_CONFIRM_MS 500  /* how often the follower confirms */
#define CORE_AHEAD_MS 500    /* how long a call waits for the follower */
#define CORE_ACQUIRE_MS 2000 /* how long for a session */
#define CORE_KEYS_MAX 64     /* secret keys of one tenant */
#define CORE_PAGE 500	     /* events read at a time */

/* ---- keys ---- */
struct keyring;
enum err keyring_open(const char *kek_file, struct keyring **out,
    struct detail *d) MUST_CHECK;
void keyring_close(struct keyring **k);
/*
 * Sees to it that seals of the tenant can be made, in a transaction of its
 * own; call before the transaction that seals.
 */
enum err keyring_prepare(struct core *c, uint32_t tenant) MUST_CHECK;
/*
 * Seals under the tenant's present data key, whose number goes to *number.
 * ERR_CONFLICT when keyring_prepare has to run again.
 */
enum err keyring_seal(struct core *c, const struct seal_row *row,
    const struct key32 *plain, unsigned char out[SEALED_MAX], size_t *outlen,
    uint64_t *number) MUST_CHECK;
/* Unseals under data key number, read through st when it is not known. */
enum err keyring_unseal(struct core *c, struct store *st,
    const struct seal_row *row, uint64_t number, const unsigned char *sealed,
    size_t len, struct key32 *out) MUST_CHECK;
/*
 * A new data key within the caller's transaction, with uses of it handed
 * out to the caller; *key is wiped by the caller. ERR_EXISTS.
 */
enum err keyring_make(struct core *c, struct store *st, uint32_t tenant,
    uint64_t number, uint64_t uses, struct key32 *key) MUST_CHECK;
/* One key of the authority or of a tenant, sealed under data key dk. */
struct new_secret {
	const char *purpose;
	const char *kid; /* NULL: "1", or the thumbprint of an ES256 key */
	int es256;
};
enum err secret_key_make(struct store *st, uint32_t tenant,
    const struct new_secret *what, uint64_t dk_number,
    const struct key32 *dk) MUST_CHECK;
/* Like it, under the tenant's present data key (keyring_prepare first). */
enum err secret_key_add(struct core *c, struct store *st, uint32_t tenant,
    const struct new_secret *what) MUST_CHECK;
enum err secret_key_open(struct core *c, struct store *st, uint32_t tenant,
    const struct secret_key_row *row, struct key32 *out) MUST_CHECK;

/* The keys of tenant 0. Constant once loaded. */
struct authority {
	uint32_t n; /* identity keys */
	uint8_t kid[IDENTITY_KEYS_MAX];
	struct key32 id_key[IDENTITY_KEYS_MAX];
	struct key32 own[IDENTITY_KEYS_MAX]; /* Kid_a of "authority" */
	struct key32 nonce;
	struct key32 challenge;
};
enum err authority_load(struct core *c, struct detail *d) MUST_CHECK;
void authority_wipe(struct authority *a);
/* The identity of a device at an audience of its tenant. */
enum err identity_make(const struct core *c, uint32_t tenant, uint64_t dn,
    uint32_t epoch, const char *audience, char out[PSKID_LEN + 1])
    MUST_CHECK;
/* ERR_IDENTITY unless this authority made it for that audience. */
enum err identity_open(const struct core *c, uint32_t tenant,
    const char *audience, const char *identity, size_t len,
    struct pskid *out) MUST_CHECK;
/* For "authority", of any tenant. */
enum err identity_open_own(const struct core *c, const char *identity,
    size_t len, struct pskid *out) MUST_CHECK;

/* ---- tenants ---- */
struct core_tenant {
	uint32_t number;
	name_t name;
	char issuer[ISSUER_MAX + 1];
	char endpoint[ISSUER_MAX + 16]; /* of tokens */
	/* The keys, replaced whole under the lock: hold it to use them. */
	pthread_rwlock_t keys_lock;
	struct tenant_keys *keys;
	struct revset *revset;
	struct feed_hub *hub;
	/* Who applies and publishes events; the one lock that is no leaf. */
	pthread_mutex_t follow;
	uint64_t last_event; /* applied; 0: none. Of the holder of follow */
	int64_t next_beat;   /* the follower's; monotonic ms: of a slice */
	unsigned beat_slice; /* likewise: which one */
	uint64_t known; /* the follower's: position before it read heads */
	_Atomic uint64_t lost; /* as of struct tenant_head */
	/*
	 * Up to where the follower is about to empty the caches; ahead of
	 * the published position while it works.
	 */
	_Atomic uint64_t applying;
	struct core_tenant *next_name, *next_number;
};
/* Its locks and its feed are not part of what a const tenant promises. */
static inline struct core_tenant *
tenant_writable(const struct core_tenant *t)
{
	return (struct core_tenant *)(uintptr_t)t;
}
#define TENANT_BUCKETS 1024
struct tenants {
	pthread_mutex_t load; /* one loader at a time */
	_Atomic(struct core_tenant *) by_name[TENANT_BUCKETS];
	_Atomic(struct core_tenant *) by_number[TENANT_BUCKETS];
};
struct tenant_keys {
	struct signer *token, *feed;
	struct jwks *jwks, *feed_jwks;
	struct buf jwks_text; /* of the token keys */
	struct buf keyset;    /* signed by the root key */
	struct es256_public root;
	uint64_t version;
};
/* The tenant's keys as the store has them; a transaction of its own. */
enum err tenant_keys_load(struct core *c, struct store *st,
    struct core_tenant *t, struct tenant_keys **out) MUST_CHECK;
void tenant_keys_free(struct tenant_keys **k);
/* Loads them again and tells the listeners, when ev revokes one of them. */
enum err tenant_keys_follow(struct core *c, struct store *st,
    struct core_tenant *t, const struct event *ev, size_t n) MUST_CHECK;
/* Puts k in the place of older keys; takes it. */
void tenant_keys_install(struct core_tenant *t, struct tenant_keys *k);
/* Signs under the present keys; NULL without memory (or keys). */
struct feed_message *feed_sign_run(const struct core *c,
    struct core_tenant *t, const struct set_run *run);
/* ERR_NOT_READY: nothing is confirmed at the time it would say. */
enum err feed_sign_beat(const struct core *c, struct core_tenant *t,
    struct feed_message **out) MUST_CHECK;
/* How many of ev from the first on have consecutive positions. */
size_t feed_run_length(const struct event *ev, size_t n);
/* ERR_NOT_READY also while the tenant's events are lost. */
enum err tenant_ready(const struct core *c, const struct core_tenant *t)
    MUST_CHECK;

struct core_tenant *tenant_by_number(struct core *c, uint32_t number);
/* Loads a tenant that is not in memory yet and brings it up to its head. */
enum err tenant_load(struct core *c, struct store *st,
    const struct tenant_head *head) MUST_CHECK;
void tenants_free(struct core *c);
/*
 * Makes a tenant with its keys, and its first admin when hash is not NULL,
 * in one transaction. ERR_EXISTS.
 */
enum err tenant_make(struct core *c, uint32_t number, const char *name,
    const unsigned char hash[32], const struct core_call *call) MUST_CHECK;
/* Reads what is new of a tenant and applies it. */
enum err tenant_follow(struct core *c, struct store *st,
    struct core_tenant *t, uint64_t head, uint64_t floor) MUST_CHECK;

/*
 * What this authd has just committed, applied at once and published, without
 * waiting for its own follower to read it: when it follows what has been
 * applied; else all that is new is read.
 */
void tenant_committed(struct core *c, struct core_tenant *t,
    const struct event *ev, size_t n);
/* Applies to caches and set, then publishes: events in order, what has been
 * applied already is passed over. */
enum err tenant_apply(struct core *c, struct core_tenant *t,
    const struct event *ev, size_t n) MUST_CHECK;
/* A heartbeat to those listeners whose is due, each tenant's; returns how
 * many milliseconds there are until the next, 1 at least. */
int64_t feed_beat_all(struct core *c);
#define CORE_BEAT_MS 1000 /* between two to the same */

/* ---- the follower ---- */
struct follower {
	pthread_t thread;
	int started;
	pthread_mutex_t lock;
	pthread_cond_t moved; /* a position was published, or stop */
	int stop;
	struct store *st;
	int64_t next_confirm, next_expire; /* monotonic ms */
	_Atomic int64_t fresh; /* monotonic ms of the last confirmation */
	_Atomic uint64_t events;
};
enum err follower_start(struct core *c, struct detail *d) MUST_CHECK;
void follower_stop(struct core *c);
void follower_published(struct core *c);
/* Waits at most ms for the tenant's published position to reach pos. */
void follower_wait(struct core *c, const struct core_tenant *t, uint64_t pos,
    int64_t ms);

/* ---- housekeeping ---- */
struct housekeeper {
	pthread_t thread;
	int started;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* stop */
	int stop;
};
enum err housekeeper_start(struct core *c) MUST_CHECK;
void housekeeper_stop(struct core *c);

/* ---- receipts ---- */
struct receipts;
enum err receipts_start(struct core *c) MUST_CHECK;
void receipts_free(struct core *c); /* stopped */
/* An event was committed here, just now. */
void receipts_committed(struct core *c, uint32_t tenant, uint64_t pos);

/* ---- devices in memory ---- */
/* All that a device's authentication needs; K itself is not in it. */
struct device_entry {
	uint32_t tenant;
	uint32_t epoch; /* of the keys */
	struct device device;
	char scope[256];
	name_t peers[ORDER_PEERS_MAX];
	uint32_t npeers;
	uint64_t pos; /* of the snapshot it was read in */
	int group_blocked, tenant_blocked;
	int must_rotate; /* a station has had this key; it is to be left */
	struct key32 tls13, tls12, assertion; /* of "authority" */
	struct device_public pub;	      /* its own key pair's */
};
struct txn;
struct device_cache;
enum err device_cache_new(size_t entries, struct device_cache **out)
    MUST_CHECK;
void device_cache_free(struct device_cache **dc);
int device_cache_get(struct device_cache *dc, int64_t now_ms,
    uint32_t tenant, uint64_t dn, uint32_t epoch, struct device_entry *out);
/* Keeps a copy unless an event since the entry's position speaks against. */
void device_cache_put(struct device_cache *dc, int64_t now_ms,
    const struct core_tenant *t, const struct device_entry *e);
void device_cache_apply(struct device_cache *dc, uint32_t tenant,
    const struct event *ev, size_t n);
void device_cache_forget(struct device_cache *dc, uint32_t tenant,
    uint64_t dn);
uint64_t device_cache_count(struct device_cache *dc);

/*
 * The device an identity names, fit to authenticate, and the position that
 * holds for what it gets. The caller wipes *out, also after an error.
 */
enum err device_authenticate(struct core *c, const struct core_tenant *t,
    const struct pskid *id, int may_block, struct device_entry *out,
    uint64_t *pos) MUST_CHECK;
/* As read or cached, fit or not (device_fit tells). */
enum err device_lookup(struct core *c, const struct core_tenant *t,
    const struct pskid *id, int may_block, struct device_entry *out,
    uint64_t *pos) MUST_CHECK;
enum err device_fit(const struct core_tenant *t, const struct device_entry *e,
    uint64_t pos) MUST_CHECK;
/*
 * Likewise fit; and where the epoch was pending, or the device unproven, this
 * is its first use.
 */
enum err device_admit(struct core_call *call, const struct pskid *id,
    struct device_entry *out, uint64_t *pos) MUST_CHECK;
/*
 * Somebody has proven to hold the key of id's epoch. That of a pending one
 * puts it to use and kills those before it; that of a dead one is a possible
 * clone; after that of the one in use a device is unproven no more. how:
 * where it was seen. audience: the gateway's that says so, NULL when this
 * authority has seen it itself. ERR_IDENTITY: it may not say that.
 */
enum err epoch_used(struct core_call *call, const struct pskid *id,
    const char *how, const char *audience) MUST_CHECK;
/* 1: a use of the key of that epoch is to be noted by epoch_used. */
int epoch_is_news(const struct device *dev, uint32_t epoch);
/* The same within a transaction that holds the device's row. */
enum err epoch_switch(struct txn *tx, struct device *dev, const char *how)
    MUST_CHECK;
/*
 * The key of the pending epoch that a station may be given: an admin has
 * approved it. ERR_NOT_FOUND: there is none.
 */
enum err reburn_approved(struct txn *tx, const struct device *dev)
    MUST_CHECK;
/* Is row (zeroed: none) such a key? */
int reburn_is(const struct device *dev, const struct device_key_row *row);
/* ERR_SERIAL_USED: the policy never releases a key twice. */
enum err key_was_released(struct txn *tx, const struct device *dev)
    MUST_CHECK;
/* It is proven: the unit is active under it, what it held before is dead. */
enum err reburn_done(struct txn *tx, struct device *dev, enum proof proof)
    MUST_CHECK;
/*
 * Makes the next epoch pending, for the request in row (none: a station), of
 * the key k; keyring_prepare first. *dead: the epoch that was pending, to be
 * cut as the transaction's last act; 0: none. The caller wipes *k.
 * ERR_WRONG_STATE: there is none after it.
 */
enum err epoch_next(struct txn *tx, struct device *dev,
    struct device_key_row *row, struct key32 *k, uint32_t *dead) MUST_CHECK;
/* What the device got under epochs up to upto is dead. */
enum err epoch_cut(struct txn *tx, uint64_t dn, uint32_t upto) MUST_CHECK;
/* K. In a transaction of the tenant. */
enum err device_root(struct core *c, struct store *st, const char *tenant_name,
    const struct device *dev, const struct device_key_row *key,
    const struct model_row *model, struct key32 *out) MUST_CHECK;
/*
 * A random K for row's device and epoch, sealed and inserted; keyring_prepare
 * first. The caller wipes *out.
 */
enum err device_key_make(struct core *c, struct store *st, uint32_t tenant,
    struct device_key_row *row, struct key32 *out) MUST_CHECK;
/* Likewise, but in the row alone. */
enum err device_key_fill(struct core *c, uint32_t tenant,
    struct device_key_row *row, struct key32 *out) MUST_CHECK;
/* ERR_PROOF unless the answer is that of req->epoch's key. */
enum err device_proof(struct txn *tx, const struct device *dev,
    const char *what, const struct confirm *req) MUST_CHECK;
/* The same where the key's row and the model are at hand. */
enum err device_proof_by(struct txn *tx, const struct device *dev,
    const struct device_key_row *row, const struct model_row *model,
    const char *what, const struct confirm *req) MUST_CHECK;
/*
 * The answer of a device to a challenge that holds: of a proof that its order
 * takes, and right. l has the key of req->epoch. ERR_PROOF.
 */
enum err answer_check(struct txn *tx, const struct burn_look *l,
    const struct confirm *req) MUST_CHECK;

/* The point that a registered key (there) is. */
void public_point(const struct device_public *pub, struct es256_public *out);

/* ---- callers in memory ---- */
struct callers;
enum err callers_new(struct callers **out) MUST_CHECK;
void callers_free(struct callers **cs);
void callers_apply(struct callers *cs, uint32_t tenant,
    const struct event *ev, size_t n);
/* A new credential and its SHA-256. */
enum err credential_make(struct secret *out, unsigned char hash[32])
    MUST_CHECK;

/* ---- shared pieces ---- */
enum err revoke_caller(struct core_call *call,
    const struct revocation_request *r, struct event *out,
    uint64_t *devices) MUST_CHECK;
enum err revoke_key(struct core_call *call,
    const struct revocation_request *r, struct event *out,
    uint64_t *devices) MUST_CHECK;
/* *pos: of the event; 0 when the caller had been disabled before. */
enum err caller_disable(struct core_call *call, const char *name,
    const char *why, struct caller *out, uint64_t *pos) MUST_CHECK;
int order_has_station(const struct order *o, const char *name);
/* Draws on the caller: a station of the order, else ERR_STATION. */
enum err order_for_station(struct txn *tx, const char *name,
    struct order *out) MUST_CHECK;
/*
 * The device of that name, locked (in a transaction that writes): the audit
 * row is about it. Its groups are those of the moment before.
 */
enum err device_lock(struct txn *tx, const char *device_id,
    struct device *out) MUST_CHECK;
/*
 * Likewise with what a burn is decided by, for the key of epoch; peers: 1 if
 * the order's are wanted, too.
 */
enum err device_look(struct txn *tx, const char *device_id, uint32_t epoch,
    int peers, struct burn_look *out) MUST_CHECK;
/* ERR_STATION unless the caller is a station of the order. */
enum err order_admits(const struct core_call *call, const struct order *o)
    MUST_CHECK;
/*
 * What a device's record says of its peers: the audiences of these names that
 * are in service, and the authority itself; room for RECORD_PEERS_MAX.
 */
enum err device_peers(struct core *c, struct store *st, uint32_t tenant,
    uint64_t dn, uint32_t epoch, const name_t *names, uint32_t n,
    struct peer *out, uint32_t *nout) MUST_CHECK;
/* The same of audiences that are in service. */
enum err audience_peers(struct core *c, const struct pskid *of,
    const struct audience *a, uint32_t n, struct peer *out, uint32_t *nout)
    MUST_CHECK;
enum err token_issue(struct core_call *call, const struct device_entry *e,
    uint64_t pos, const struct token_request *req, struct token_answer *out)
    MUST_CHECK;
/* What of the request the device may have; ERR_TARGET, ERR_OAUTH_SCOPE. */
enum err token_grant(const struct device_entry *e,
    const struct token_request *req, struct token_claims *c) MUST_CHECK;
/* What a token cache keeps of a token. */
struct seen_token {
	struct token_claims claims;
	char kid[KID_LEN + 1];
};
/* Signature and form, from the cache or anew; times are not judged. */
enum err token_read(struct core *c, const struct core_tenant *t,
    const char *token, size_t len, struct seen_token *out, int *cached,
    struct detail *d) MUST_CHECK;
enum err token_alive(const struct core_tenant *t,
    const struct seen_token *seen, uint64_t *by) MUST_CHECK;
/* The ration of what a device may order itself, for a minute. */
struct ration_slot {
	uint32_t tenant; /* 0: nobody's yet */
	uint64_t dn;
	int64_t window; /* its start, monotonic ms */
	unsigned tokens, cuts, rotations;
};
#define RATION_SLOTS 16384
#define RATION_WAYS 16 /* places that a device may have one of */
#define RATION_WINDOW_MS 60000
#define RATION_TOKENS 4
#define RATION_ROTATIONS 12
/*
 * The device's own, its window begun; under ration_lock. NULL: all its places
 * are others' whose windows are not over. Nobody spends another's, and nobody
 * gets rid of what it has spent.
 */
struct ration_slot *ration_slot(struct core *c, const struct pskid *id);
/* The last alarm of a device, that of the newest where two share it. */
struct alarm_slot {
	uint32_t tenant, epoch;
	uint64_t dn;
	int64_t at;    /* monotonic ms; 0: none yet */
	int seen_here; /* not a gateway's report alone */
};
#define ALARM_SLOTS 1024

struct core {
	const struct clock *clock;
	char issuer[ISSUER_MAX + 1];
	uint64_t token_life;
	int suppress_notify;
	uint32_t poll_ms;
	char instance[33];
	struct store_pool *pool;
	struct keyring *keys;
	struct authority authority;
	struct tenants tenants;
	struct follower follower;
	struct housekeeper housekeeper;
	struct receipts *receipts;
	struct device_cache *devices;
	struct callers *callers;
	struct token_cache *tokens;
	pthread_mutex_t endpoint_lock;
	char device_host[254];
	uint16_t device_port;
	pthread_mutex_t ration_lock;
	uint64_t ration_seed;
	struct ration_slot ration[RATION_SLOTS];
	struct alarm_slot alarm[ALARM_SLOTS]; /* under ration_lock, too */
	unsigned lookups_max; /* unknown credentials asked for at a time */
	_Atomic unsigned lookups;
	_Atomic uint64_t tokens_issued, assertions_refused, introspections;
	_Atomic uint64_t introspections_cached, psk_resolved;
	_Atomic uint64_t rotations, possible_clones;
};
#define core_count(counter) \
	atomic_fetch_add_explicit(&(counter), 1, memory_order_relaxed)

#endif
