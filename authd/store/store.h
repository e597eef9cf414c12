#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdint.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/clock.h"
#include "lib/model/audit.h"
#include "lib/model/caller.h"
#include "lib/model/device.h"
#include "lib/model/event.h"
#include "lib/model/order.h"
#include "lib/model/receipt.h"
#include "lib/model/ticket.h"

/*
 * The store: every fact that outlives a process. Synchronous, straight-line.
 * Two implementations of this header, linked one at a time, hold one contract
 * (tests/contract): PostgreSQL (store_*.c) and a fake in memory
 * (tests/helpers/fake_store.c).
 *
 * A struct store is one session, for one thread at a time, from a bounded
 * pool. Every call but the three marked EXCEPTION stands between store_begin
 * and store_commit or store_rollback, and sees its tenant's rows only.
 *
 * Errors of every call: ERR_STORE (database away, statement timed out: the
 * transaction is gone; roll back), ERR_CONFLICT (lost a race, run the
 * transaction again), ERR_NOT_FOUND, ERR_EXISTS where said. After an error
 * other than ERR_NOT_FOUND only store_rollback is allowed (store_commit then
 * gives ERR_INTERNAL); so too after ERR_NOT_FOUND of an insert, which means
 * that something it refers to is missing.
 */
struct store_pool;
struct store;

struct store_conf {
	const char *conninfo;	  /* libpq; role fealty_app */
	uint32_t sessions;	  /* 1 to 256 */
	uint32_t connect_ms;	  /* time-out of connecting */
	uint32_t statement_ms;	  /* of one statement */
};
/* Connects lazily and again after a loss. */
enum err store_pool_open(const struct store_conf *conf,
    struct store_pool **out) MUST_CHECK;
void store_pool_close(struct store_pool **pool); /* all sessions returned */
/* Waits at most wait_ms for a free session, else ERR_BUSY. */
enum err store_acquire(struct store_pool *pool, uint32_t wait_ms,
    struct store **out) MUST_CHECK;
/* Rolls back what is open. NULL is fine. */
void store_release(struct store **st);

/*
 * Applies the files DIR/NNNN-*.sql not yet applied, each in a transaction,
 * as conninfo's role (fealty_owner); two processes may race. ERR_CONFIG with
 * d for a database newer than this program.
 */
enum err store_migrate(const char *conninfo, const char *dir,
    struct detail *d) MUST_CHECK;

enum store_mode {
	STORE_READ, /* one snapshot for all statements, read only */
	STORE_WRITE /* read committed; rows that decide are locked */
};
enum err store_begin(struct store *st, uint32_t tenant,
    enum store_mode mode) MUST_CHECK;
/* ERR_OK: it is on the disk, and with whoever has to have it. */
enum err store_commit(struct store *st) MUST_CHECK;
/*
 * This transaction's locks go with its commit, not when that is on the disk;
 * store_commit waits for that as ever. Others may so see what a crash undoes:
 * only where what they commit on it is undone by the same crash, and nothing
 * is sent out on a mere look. Never with an event.
 */
void store_unlock_early(struct store *st);
void store_rollback(struct store *st);

/* ---- tenants and positions ---- */
struct tenant_head {
	uint32_t tenant;
	name_t name;
	uint64_t pos, floor;
	uint64_t lost; /* not 0: events up to there are missing here */
};
/* EXCEPTION (outside a transaction): all tenants' heads. *rows is malloc'ed. */
enum err store_heads(struct store *st, struct tenant_head **rows,
    size_t *n) MUST_CHECK;
/* In a transaction of the tenant itself: its number is free and set in
 * store_begin. ERR_EXISTS for the number or the name. */
enum err store_tenant_insert(struct store *st, const char *name) MUST_CHECK;
/* EXCEPTION: a number that no tenant has now. */
enum err store_tenant_next(struct store *st, uint32_t *number) MUST_CHECK;
/* The counter as this transaction's snapshot sees it. */
enum err store_position(struct store *st, uint64_t *pos, uint64_t *floor)
    MUST_CHECK;

/*
 * Somebody holds a signed head beyond the counter: remembered, and listeners
 * woken. ERR_NOT_FOUND when the counter is not behind it after all.
 */
enum err store_lost_set(struct store *st, uint64_t head) MUST_CHECK;
/* The counter goes on behind pos, nothing is lost; ERR_CONFLICT if it is
 * there already. */
enum err store_position_raise(struct store *st, uint64_t pos) MUST_CHECK;
/* The floor follows the events older than age seconds by the database's
 * clock. */
enum err store_floor_advance(struct store *st, uint32_t age) MUST_CHECK;
/* The version of the key set, and a new one for keys that change now. */
enum err store_keys_version(struct store *st, uint64_t *version) MUST_CHECK;
enum err store_keys_version_next(struct store *st) MUST_CHECK;
/* It is version now, unless it is beyond that already. */
enum err store_keys_version_raise(struct store *st, uint64_t version)
    MUST_CHECK;

/* ---- events ---- */
/*
 * Appends: takes the counter's row lock until commit, so that commit order is
 * position order; sets e->pos and e->at and wakes listeners at commit.
 * Call last in a transaction: it serialises the tenant.
 */
enum err store_event_append(struct store *st, struct event *e) MUST_CHECK;
/* after < pos, in order, at most limit into rows. */
enum err store_event_list(struct store *st, uint64_t after, uint32_t limit,
    struct event *rows, size_t *n) MUST_CHECK;
/* The position of the newest event at or before upto; 0: there is none. */
enum err store_event_last(struct store *st, uint64_t upto, uint64_t *pos)
    MUST_CHECK;
/*
 * Like store_event_list, without what no longer holds: of the events at or
 * below the floor only callers, signing keys and blocks not lifted since.
 */
enum err store_event_snapshot(struct store *st, uint64_t after,
    uint64_t floor, uint32_t limit, struct event *rows, size_t *n) MUST_CHECK;
/* An event with the position it once had. ERR_EXISTS. */
enum err store_event_import(struct store *st, const struct event *e)
    MUST_CHECK;
/* Those that name kind and id, newest first, at most limit. */
enum err store_event_naming(struct store *st, enum event_kind kind,
    const char *id, uint32_t limit, struct event *rows, size_t *n) MUST_CHECK;
/*
 * Outside a transaction: waits at most ms for a wake-up of the feed
 * (ERR_OK) or until then (ERR_TIMEOUT). A wake-up is a hint, no promise.
 * Listens from the first call on, for the session's life.
 */
enum err store_listen(struct store *st, uint32_t ms) MUST_CHECK;
/* Tenant 0, write: this authd is alive and talks to a true primary. */
enum err store_instance_confirm(struct store *st, const char *instance)
    MUST_CHECK;

/* ---- sealed keys ---- */
#define SEALED_MAX 600
struct data_key_row {
	uint64_t number;
	name_t kek_id;
	unsigned char wrapped[SEALED_MAX];
	size_t wrapped_len;
	uint64_t uses;
};
enum err store_data_key_insert(struct store *st,
    const struct data_key_row *row) MUST_CHECK; /* ERR_EXISTS */
enum err store_data_key_get(struct store *st, uint64_t number,
    struct data_key_row *row) MUST_CHECK;
enum err store_data_key_newest(struct store *st, struct data_key_row *row)
    MUST_CHECK;
/* Reserves n uses; *uses is the total after it. Write. */
enum err store_data_key_use(struct store *st, uint64_t number, uint64_t n,
    uint64_t *uses) MUST_CHECK;

struct secret_key_row {
	uint64_t number; /* 0 in an insert: the next one is taken and set */
	char purpose[17];
	name_t kid;
	uint64_t data_key;
	unsigned char sealed[SEALED_MAX];
	size_t sealed_len;
	unsigned char public[64];
	int has_public;
	char state[17]; /* "active", "retiring", "revoked" */
};
/*
 * number must be known before sealing (it is bound): ask for it first.
 * The insert gives ERR_EXISTS when a racer took it or the kid.
 */
enum err store_secret_key_next(struct store *st, uint64_t *number) MUST_CHECK;
enum err store_secret_key_insert(struct store *st,
    const struct secret_key_row *row) MUST_CHECK;
/* State "retiring" or "revoked". */
enum err store_secret_key_state(struct store *st, uint64_t number,
    const char *state) MUST_CHECK;
/* The tenant's that are not revoked, by number; at most max. */
enum err store_secret_key_list(struct store *st, struct secret_key_row *rows,
    size_t max, size_t *n) MUST_CHECK;

/* ---- callers ---- */
/* EXCEPTION: whose credential (its SHA-256) it is. ERR_NOT_FOUND. */
enum err store_caller_by_hash(struct store *st, const unsigned char hash[32],
    uint32_t *tenant, name_t tenant_name, uint64_t *number) MUST_CHECK;
/* Sets c->number and c->created_at. ERR_EXISTS. */
enum err store_caller_insert(struct store *st, struct caller *c,
    const unsigned char hash[32]) MUST_CHECK;
enum err store_caller_get(struct store *st, uint64_t number,
    struct caller *out) MUST_CHECK; /* tenant_name is left alone */
enum err store_caller_by_name(struct store *st, const char *name,
    struct caller *out) MUST_CHECK;
enum err store_caller_list(struct store *st, struct caller *rows, size_t max,
    size_t *n) MUST_CHECK;
enum err store_caller_disable(struct store *st, uint64_t number) MUST_CHECK;

/* ---- audiences, groups, models, orders ---- */
enum err store_audience_put(struct store *st, const struct audience *a)
    MUST_CHECK;
enum err store_audience_get(struct store *st, const char *name,
    struct audience *out) MUST_CHECK;
enum err store_audience_list(struct store *st, struct audience *rows,
    size_t max, size_t *n) MUST_CHECK;

/* Sets g->number. ERR_EXISTS. */
enum err store_group_insert(struct store *st, struct group *g) MUST_CHECK;
enum err store_group_get(struct store *st, uint32_t number,
    struct group *out) MUST_CHECK;
enum err store_group_by_name(struct store *st, enum group_kind kind,
    const char *name, struct group *out) MUST_CHECK;
enum err store_group_list(struct store *st, struct group *rows, size_t max,
    size_t *n) MUST_CHECK; /* with devices counted */
enum err store_group_block(struct store *st, uint32_t number, int blocked)
    MUST_CHECK;
/* Devices of the group that are active or suspended. */
enum err store_group_count(struct store *st, uint32_t number,
    uint64_t *devices) MUST_CHECK;
enum err store_tenant_block(struct store *st, int blocked) MUST_CHECK;
enum err store_tenant_blocked(struct store *st, int *blocked) MUST_CHECK;
enum err store_tenant_count(struct store *st, uint64_t *devices) MUST_CHECK;

struct model_row {
	name_t name;
	uint64_t number; /* 0 in an insert: set */
	uint32_t group;
	uint64_t data_key; /* 0: no master key */
	unsigned char master[SEALED_MAX];
	size_t master_len;
};
/* ERR_EXISTS. */
enum err store_model_insert(struct store *st, struct model_row *m) MUST_CHECK;
/* Locks the row in a write transaction. */
enum err store_model_get(struct store *st, const char *name,
    struct model_row *out) MUST_CHECK;
/* Sets data_key and master where there were none, else ERR_EXISTS. */
enum err store_model_master(struct store *st, const struct model_row *m)
    MUST_CHECK;

/* Sets created_at, model_group, issued, closed. ERR_EXISTS. */
enum err store_order_insert(struct store *st, struct order *o) MUST_CHECK;
enum err store_order_get(struct store *st, const char *name,
    struct order *out) MUST_CHECK;
enum err store_order_list(struct store *st, const char *station, /* or NULL */
    struct order *rows, size_t max, size_t *n) MUST_CHECK;
enum err store_order_close(struct store *st, const char *name) MUST_CHECK;
/*
 * Takes one place, atomically: ERR_ORDER_FULL, ERR_ORDER_CLOSED,
 * ERR_ORDER_EXPIRED by the database's clock. *place is for {n}.
 */
enum err store_order_take(struct store *st, const char *name,
    uint32_t *place) MUST_CHECK;
/* ERR_WRONG_STATE when none is taken. */
enum err store_order_give_back(struct store *st, const char *name) MUST_CHECK;

/* ---- devices ---- */
/*
 * With its groups. Sets dn, created_at, changed_at, and epoch: the first that
 * no void device of its device_id has had, as a key derived from the model's
 * depends on nothing else and the void one's may have been released.
 * ERR_EXISTS for device_id or serial, ERR_NOT_FOUND for a group.
 */
enum err store_device_insert(struct store *st, struct device *dev) MUST_CHECK;
/* With groups. In a write transaction the row is locked. */
enum err store_device_get(struct store *st, uint64_t dn, struct device *out)
    MUST_CHECK;
/* void ones are not found by name. */
enum err store_device_by_id(struct store *st, const char *device_id,
    struct device *out) MUST_CHECK;
enum err store_device_by_serial(struct store *st, const char *order,
    const char *serial, struct device *out) MUST_CHECK;
enum err store_device_list(struct store *st, const struct device_filter *f,
    struct device *rows, size_t *n) MUST_CHECK; /* room for f->limit */
/*
 * state, proof and what it lacks, epochs, what is known of clones; changed_at
 * follows. *dev is then the whole row, with groups.
 */
enum err store_device_update(struct store *st, struct device *dev)
    MUST_CHECK;
/* The largest epoch a void device of that name has had; 0: there is none. */
enum err store_device_void_epoch(struct store *st, const char *device_id,
    uint32_t *epoch) MUST_CHECK;
/* It is void, and why: VOID_REASON_MAX octets at most. ERR_NOT_FOUND. */
enum err store_device_void(struct store *st, uint64_t dn, const char *reason)
    MUST_CHECK;
/* Whether a void unit of that serial number had its key released. */
enum err store_serial_released(struct store *st, const char *order,
    const char *serial, int *released) MUST_CHECK;
/* An order without units has zeros. */
enum err store_order_summary(struct store *st, const char *name,
    struct order_summary *out) MUST_CHECK;
/* ERR_GROUPS_FULL beyond 8, ERR_EXISTS when in it, ERR_NOT_FOUND. */
enum err store_member_add(struct store *st, uint64_t dn, uint32_t group)
    MUST_CHECK;
enum err store_member_remove(struct store *st, uint64_t dn, uint32_t group)
    MUST_CHECK;

struct device_key_row {
	uint64_t dn;
	uint32_t epoch;
	uint64_t data_key; /* 0: derived from the model's master key */
	unsigned char sealed[SEALED_MAX];
	size_t sealed_len;
	uint64_t released; /* times a station was given it */
	/* SHA-256 of the device's request that made it; for a station: none */
	int has_asked;
	unsigned char asked[32];
};
enum err store_device_key_insert(struct store *st,
    const struct device_key_row *row) MUST_CHECK; /* ERR_EXISTS */
enum err store_device_key_get(struct store *st, uint64_t dn, uint32_t epoch,
    struct device_key_row *out) MUST_CHECK;

/*
 * Drops keys of dead epochs (before the device's own) below one, but for
 * those a station was given.
 */
enum err store_device_key_prune(struct store *st, uint64_t dn,
    uint32_t below) MUST_CHECK;

/* ---- tickets ---- */
struct ticket_row {
	ticket_id_t id;
	name_t order;
	uint64_t station; /* number of the caller that pulled it */
	struct device_public key; /* of the station's key pair */
	uint32_t count;
	int64_t expires_at;
	int swept; /* its unused identities are void */
};
/* ERR_EXISTS for the id. */
enum err store_ticket_insert(struct store *st, const struct ticket_row *t)
    MUST_CHECK;
/* In a write transaction the row is locked, and so all of the ticket. */
enum err store_ticket_get(struct store *st, const char *id,
    struct ticket_row *out) MUST_CHECK;
enum err store_ticket_sweep(struct store *st, const char *id) MUST_CHECK;
/* One that has expired by now and is not swept. ERR_NOT_FOUND. */
enum err store_ticket_expired(struct store *st, int64_t now,
    struct ticket_row *out) MUST_CHECK;

struct ticket_unit_row {
	ticket_id_t ticket;
	uint64_t dn;
	int burned; /* its first burn has been pushed, with this nonce */
	unsigned char nonce[TICKET_NONCE_LEN];
	int twice; /* and another one with another nonce */
};
enum err store_ticket_unit_add(struct store *st, const char *ticket,
    uint64_t dn) MUST_CHECK; /* ERR_EXISTS */
enum err store_ticket_unit_get(struct store *st, const char *ticket,
    uint64_t dn, struct ticket_unit_row *out) MUST_CHECK;
/* By number; at most max. */
enum err store_ticket_unit_list(struct store *st, const char *ticket,
    struct ticket_unit_row *rows, size_t max, size_t *n) MUST_CHECK;
enum err store_ticket_unit_update(struct store *st,
    const struct ticket_unit_row *u) MUST_CHECK;
/* The unit a device of a ticket has become. ERR_EXISTS within its order. */
enum err store_device_set_serial(struct store *st, uint64_t dn,
    const char *serial) MUST_CHECK;
/* Destroys the keys of a device that is void. ERR_WRONG_STATE if not. */
enum err store_device_key_destroy(struct store *st, uint64_t dn) MUST_CHECK;

/*
 * All that authenticating a device needs, in one snapshot and, from
 * PostgreSQL, one round trip. In a read transaction of its own.
 */
struct device_auth {
	struct device device;
	struct device_public pub;
	struct device_key_row key;
	struct model_row model;	   /* data_key 0: none */
	char scope[256];	   /* of its order */
	int rotate_first;	   /* likewise */
	name_t peers[ORDER_PEERS_MAX]; /* audiences not retired */
	uint32_t npeers;
	uint64_t pos;
	int group_blocked, tenant_blocked;
};
enum err store_device_auth(struct store *st, uint64_t dn, uint32_t epoch,
    struct device_auth *out) MUST_CHECK;

/* ---- one use of an assertion ---- */
#define MARK_LEN 16
struct mark {
	uint32_t tenant;
	uint64_t dn;
	int64_t exp; /* seconds; part of what the signature covers */
	unsigned char mark[MARK_LEN];
};
/*
 * ERR_OK: this call was the first, durably, across processes.
 * ERR_ASSERTION_USED: it was not. Outside a transaction, takes the pool:
 * marks of concurrent callers share a round trip and a commit.
 */
enum err store_mark_use(struct store_pool *pool, const struct mark *m)
    MUST_CHECK;
/*
 * Likewise for n marks at once, each with an outcome of its own. Of equal
 * ones among them exactly one can be ERR_OK, and where the commit that they
 * share is not known to have happened none is. meanwhile(arg), unless NULL,
 * is called in this thread, without a lock, while the marks travel: once if
 * any outcome is ERR_OK, else at most once.
 */
#define STORE_MARKS_MAX 64
void store_mark_use_many(struct store_pool *pool, const struct mark *m,
    size_t n, enum err *outcome, void (*meanwhile)(void *), void *arg);
/* Outside a transaction: drops marks of the tenant with exp < before, at
 * most limit; *n dropped. */
enum err store_mark_expire(struct store *st, uint32_t tenant, int64_t before,
    uint32_t limit, uint32_t *n) MUST_CHECK;

/* ---- receipts ---- */
#define RECEIPT_BATCH_MAX 256
#define GATEWAY_INSTANCES_MAX 256
#define RECEIPTS_MAX 65536 /* about one event that are looked at */
struct receipt_add {
	uint64_t caller;
	struct receipt r;
	int64_t age_us; /* since it arrived */
	/* set: */
	int refused; /* its gateway has GATEWAY_INSTANCES_MAX instances */
	int first;   /* nothing had been heard of this instance */
};
/*
 * Notes n receipts (RECEIPT_BATCH_MAX at most, of n different instances):
 * each instance's position, which never goes back, and, where it moved on,
 * the receipt itself. In a write transaction.
 */
enum err store_receipts_add(struct store *st, struct receipt_add *rows,
    size_t n) MUST_CHECK;
/* Forgets a gateway's instances not heard of for age seconds. */
enum err store_instances_forget(struct store *st, uint64_t caller,
    uint32_t age) MUST_CHECK;

/* An event and, in microseconds since 1970 by the database's clock, when it
 * was appended (0: not known) and now. ERR_NOT_FOUND. */
struct event_time {
	struct event event;
	int64_t at_us, now_us;
};
enum err store_event_get(struct store *st, uint64_t pos,
    struct event_time *out) MUST_CHECK;
/* The first event behind pos. ERR_NOT_FOUND. */
enum err store_event_next(struct store *st, uint64_t pos,
    struct event_time *out) MUST_CHECK;
/*
 * The gateways that have to enforce an event: enrolled by then, not
 * disabled, with an audience that an order of a named device is peered with;
 * for a token, a caller or a signing key all. By number, at most max.
 */
struct gateway_row {
	uint64_t number;
	name_t name;
};
enum err store_event_gateways(struct store *st, const struct event_time *ev,
    struct gateway_row *rows, size_t max, size_t *n) MUST_CHECK;
/* Instances of gateways not disabled, by caller; at most max. */
struct instance_row {
	uint64_t caller;
	name_t name;
	uint64_t pos;
	int64_t heard_us;
};
enum err store_instances(struct store *st, struct instance_row *rows,
    size_t max, size_t *n) MUST_CHECK;
/* The receipts that cover pos, each instance's first; at most max. */
struct receipt_kept {
	uint64_t caller;
	struct receipt r;
	int64_t at_us;
};
enum err store_receipts_list(struct store *st, uint64_t pos,
    struct receipt_kept *rows, size_t max, size_t *n) MUST_CHECK;

#include "authd/store/store_burn.h"
#include "authd/store/store_held.h"

/* ---- audit ---- */
/* What is wrong with it may show only at the next statement or the commit. */
enum err store_audit_append(struct store *st, const struct audit *a)
    MUST_CHECK;
enum err store_audit_list(struct store *st, uint64_t after, uint32_t limit,
    struct audit *rows, size_t *n) MUST_CHECK;

#endif
