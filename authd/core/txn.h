#ifndef CORE_TXN_H
#define CORE_TXN_H

#include "authd/core/core.h"
#include "authd/store/store.h"

/*
 * One decision: what it works on and what its audit row will say. fn may run
 * several times (a lost race), so it sets what it writes from scratch.
 */
#define TXN_EVENTS 2
struct txn {
	struct core_call *call;
	struct store *st;
	enum store_mode mode;
	const char *action; /* NULL: no audit row */
	const char *object_kind;
	char object[NAME_MAX_LEN + 1];
	char note[201];
	uint64_t pos; /* of the event it appended; the caller waits for it */
	struct event events[TXN_EVENTS]; /* those it appended */
	size_t nevents; /* above TXN_EVENTS: not all of them are there */
	void *arg;
};
/*
 * Authorises the caller's tenant, then runs fn within a transaction; with an
 * action, writes its audit row: of success in the same transaction, of a
 * refusal in one of its own. ERR_WOULD_BLOCK without may_block.
 */
enum err txn_run(struct txn *tx, enum err (*fn)(struct txn *)) MUST_CHECK;
/* Likewise for a device, which has no caller: the core has judged it. */
enum err txn_run_device(struct txn *tx, enum err (*fn)(struct txn *))
    MUST_CHECK;
/* The audit row's object is the device of that number. */
void txn_about_device(struct txn *tx, uint64_t dn);
/* Appends an event and remembers its position for the audit row. */
enum err txn_event(struct txn *tx, struct event *e) MUST_CHECK;
/* The key is revoked and, if it was in use, another takes its place; the
 * version of the key set and the event are the caller's. */
enum err key_replace(struct txn *tx, const struct secret_key_row *row)
    MUST_CHECK;
enum err txn_device_event(struct txn *tx, uint64_t dn,
    enum event_effect effect) MUST_CHECK;
/*
 * e, and when it is ERR_NOT_FOUND the detail says what there is none of:
 * "no KIND NAME". name as the caller gave it, NULL if malformed (it is not
 * repeated then).
 */
enum err not_found(struct core_call *call, enum err e, const char *kind,
    const char *name) MUST_CHECK;
/* One more audit row in tx, of a device, beside that of tx itself. */
enum err txn_audit_device(struct txn *tx, const char *action, uint64_t dn,
    const char *note) MUST_CHECK;
/* The tenant's caller and no other's, still alive. */
enum err call_check(struct core_call *call) MUST_CHECK;
/*
 * Appends it, the only way to: what may be a credential that somebody put in
 * the place of a name or a reason is hidden.
 */
enum err audit_write(struct store *st, struct audit *a) MUST_CHECK;
/* The session loop below txn_run, without audit, for any tenant. */
enum err store_run(struct core *c, uint32_t tenant, enum store_mode mode,
    enum err (*fn)(struct store *, void *), void *arg) MUST_CHECK;

#endif
