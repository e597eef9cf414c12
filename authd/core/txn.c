#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/log.h"
#include "lib/base/parse.h"
#include "lib/crypt/digest.h"

#define TRIES 6

/* A short wait that no two losers of a race share. */
static void
step_aside(unsigned attempt)
{
	struct timespec ts = {0};
	unsigned char r = 128;

	if (random_bytes(&r, 1) != ERR_OK)
		r = 128;
	ts.tv_nsec = (long)(1 + r) * 10000 * (long)(1 + attempt);
	(void)nanosleep(&ts, NULL);
}

/* One attempt within a session. */
static enum err
attempt(struct store *st, uint32_t tenant, enum store_mode mode,
    enum err (*fn)(struct store *, void *), void *arg)
{
	enum err e;

	e = store_begin(st, tenant, mode);
	if (e != ERR_OK)
		return e;
	e = fn(st, arg);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e;
}

enum err
store_run(struct core *c, uint32_t tenant, enum store_mode mode,
    enum err (*fn)(struct store *, void *), void *arg)
{
	struct store *st = NULL;
	unsigned i;
	enum err e;

	e = store_acquire(c->pool, CORE_ACQUIRE_MS, &st);
	if (e != ERR_OK)
		return e;
	for (i = 0; i < TRIES; i++) {
		e = attempt(st, tenant, mode, fn, arg);
		if (e != ERR_CONFLICT)
			break;
		step_aside(i);
	}
	store_release(&st);
	return e;
}

enum err
call_check(struct core_call *call)
{
	if (call->tenant == NULL || call->caller == NULL ||
	    call->caller->tenant != call->tenant->number ||
	    call->caller->disabled ||
	    revset_caller_dead(call->tenant->revset, call->caller->number))
		return ERR_CREDENTIAL;
	return ERR_OK;
}

enum err
not_found(struct core_call *call, enum err e, const char *kind,
    const char *name)
{
	if (e == ERR_NOT_FOUND && name != NULL)
		detail_set(&call->detail, "no %s %s", kind, name);
	else if (e == ERR_NOT_FOUND)
		detail_set(&call->detail, "no %s has such a name", kind);
	return e;
}

enum err
audit_write(struct store *st, struct audit *a)
{
	static const char hidden[] = "-";

	if (may_be_credential(a->object))
		memcpy(a->object, hidden, sizeof(hidden));
	if (may_be_credential(a->detail))
		memcpy(a->detail, hidden, sizeof(hidden));
	return store_audit_append(st, a);
}

static enum err
audit_append(struct store *st, const struct txn *tx, enum err outcome)
{
	struct audit a = {0};

	if (tx->call->caller != NULL)
		a.caller = tx->call->caller->number;
	a.pos = outcome == ERR_OK ? tx->pos : 0;
	(void)snprintf(a.action, sizeof(a.action), "%s", tx->action);
	(void)snprintf(a.object_kind, sizeof(a.object_kind), "%s",
	    tx->object_kind);
	(void)snprintf(a.object, sizeof(a.object), "%s", tx->object);
	(void)snprintf(a.outcome, sizeof(a.outcome), "%s", err_code(outcome));
	(void)snprintf(a.request_id, sizeof(a.request_id), "%s",
	    tx->call->request_id);
	(void)snprintf(a.detail, sizeof(a.detail), "%s", tx->note);
	return audit_write(st, &a);
}

enum err
txn_audit_device(struct txn *tx, const char *action, uint64_t dn,
    const char *note)
{
	struct txn row = {.call = tx->call, .action = action,
	    .object_kind = "device"};

	(void)snprintf(row.object, sizeof(row.object), "%llu",
	    (unsigned long long)dn);
	(void)snprintf(row.note, sizeof(row.note), "%s", note);
	return audit_append(tx->st, &row, ERR_OK);
}

struct audited {
	struct txn *tx;
	enum err (*fn)(struct txn *);
	enum err outcome;
};

static enum err
run_audited(struct store *st, void *arg)
{
	struct audited *a = arg;
	enum err e;

	a->tx->st = st;
	a->tx->pos = 0;
	a->tx->nevents = 0;
	e = a->fn(a->tx);
	a->tx->st = NULL;
	if (e == ERR_OK && a->tx->action != NULL)
		e = audit_append(st, a->tx, ERR_OK);
	return e;
}

static enum err
run_refusal(struct store *st, void *arg)
{
	struct audited *a = arg;

	return audit_append(st, a->tx, a->outcome);
}

/* A decision against the caller, not a fault of ours or of the moment. */
static int
is_refusal(enum err e)
{
	return e != ERR_OK && !err_retryable(e) && err_status(e) < 500;
}

enum err
txn_run_device(struct txn *tx, enum err (*fn)(struct txn *))
{
	struct core_call *call = tx->call;
	struct audited a = {.tx = tx, .fn = fn};
	enum err e;

	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	e = store_run(call->core, call->tenant->number, tx->mode,
	    run_audited, &a);
	a.outcome = e;
	if (e == ERR_OK && tx->pos != 0)
		receipts_committed(call->core, call->tenant->number, tx->pos);
	if (tx->action != NULL && is_refusal(e) &&
	    store_run(call->core, call->tenant->number, STORE_WRITE,
		run_refusal, &a) != ERR_OK)
		log_line(LOG_WARN_, "refusal not audited",
		    F_STR("action", tx->action), F_STR("code", err_code(e)));
	/* Who ordered it sees it obeyed here when the answer comes. */
	if (e == ERR_OK && tx->pos != 0 && !call->core->suppress_notify)
		tenant_committed(call->core, tenant_writable(call->tenant),
		    tx->events, tx->nevents);
	if (e == ERR_OK && tx->pos != 0)
		follower_wait(call->core, call->tenant, tx->pos,
		    CORE_AHEAD_MS);
	return e;
}

enum err
txn_run(struct txn *tx, enum err (*fn)(struct txn *))
{
	enum err e;

	if (!tx->call->may_block)
		return ERR_WOULD_BLOCK;
	e = call_check(tx->call);
	return e == ERR_OK ? txn_run_device(tx, fn) : e;
}

void
txn_about_device(struct txn *tx, uint64_t dn)
{
	(void)snprintf(tx->object, sizeof(tx->object), "%llu",
	    (unsigned long long)dn);
}

enum err
txn_event(struct txn *tx, struct event *ev)
{
	enum err e = store_event_append(tx->st, ev);

	if (e != ERR_OK)
		return e;
	tx->pos = ev->pos;
	if (tx->nevents < TXN_EVENTS)
		tx->events[tx->nevents] = *ev;
	tx->nevents++;
	return ERR_OK;
}

enum err
txn_device_event(struct txn *tx, uint64_t dn, enum event_effect effect)
{
	struct event ev = {.kind = EV_DEVICE, .effect = effect};

	(void)snprintf(ev.id, sizeof(ev.id), "%llu", (unsigned long long)dn);
	return txn_event(tx, &ev);
}
