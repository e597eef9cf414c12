#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"

/*
 * What a proven use of a device's key means for its epochs (docs/rotation.md).
 * An identity alone travels in clear and proves nothing: here only those come
 * who have completed a handshake, signed an assertion or answered a challenge.
 */
#define KEPT 8		 /* epochs whose dead keys are kept, to know clones */
#define ALARM_S 60	 /* of one device, one alarm in so long, or one that
			  * suspends it */
#define ALARM_MS 10000	 /* and one look at its row */

struct using {
	const struct pskid *id;
	const char *how;
	const char *audience; /* whose gateway says so; NULL: seen here */
	struct device device;
	int suspended;
};

/* Forgets dead keys that are too old to tell a clone by; newest: the epoch
 * given last. The device's row is up to date. */
static enum err
prune(struct txn *tx, uint64_t dn, uint32_t newest)
{
	return store_device_key_prune(tx->st, dn,
	    newest > KEPT ? newest - KEPT : 0);
}

enum err
epoch_cut(struct txn *tx, uint64_t dn, uint32_t upto)
{
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_CUT,
	    .ep_max = upto};

	(void)snprintf(ev.id, sizeof(ev.id), "%llu", (unsigned long long)dn);
	return txn_event(tx, &ev);
}

enum err
epoch_next(struct txn *tx, struct device *dev, struct device_key_row *row,
    struct key32 *k, uint32_t *dead)
{
	uint32_t was = dev->pending, last = was != 0 ? was : dev->epoch;
	enum err e;

	if (last == UINT32_MAX)
		return ERR_WRONG_STATE;
	row->dn = dev->dn;
	row->epoch = last + 1;
	e = device_key_make(tx->call->core, tx->st, tx->call->tenant->number,
	    row, k);
	if (e != ERR_OK)
		return e;
	dev->pending = row->epoch;
	e = store_device_update(tx->st, dev);
	/* Who asks for ever and switches never must not fill the table. */
	if (e == ERR_OK && was != 0)
		e = prune(tx, dev->dn, dev->pending);
	if (e == ERR_OK)
		*dead = was;
	return e;
}

enum err
epoch_switch(struct txn *tx, struct device *dev, const char *how)
{
	uint32_t to = dev->pending;
	enum err e;

	dev->epoch = to;
	dev->pending = 0;
	e = store_device_update(tx->st, dev);
	if (e == ERR_OK)
		e = prune(tx, dev->dn, to);
	if (e != ERR_OK)
		return e;
	tx->action = "device.rotated";
	(void)snprintf(tx->note, sizeof(tx->note),
	    "epoch %u first used: %s; those before are dead", to, how);
	e = epoch_cut(tx, dev->dn, to - 1);
	if (e == ERR_OK)
		core_count(tx->call->core->rotations);
	return e;
}

/*
 * Who it is that holds a dead key nobody can tell: the device's double, or
 * the device itself whose double was faster. So nothing follows but what the
 * order says, and that only for what this authority has seen itself.
 */
static enum err
raise_alarm(struct txn *tx, struct using *u)
{
	struct device *dev = &u->device;
	enum err e;

	dev->clones++;
	dev->clone_at = clock_wall_s(tx->call->core->clock);
	dev->clone_epoch = u->id->epoch;
	if (u->suspended)
		dev->state = DEV_SUSPENDED;
	e = store_device_update(tx->st, dev);
	if (e != ERR_OK)
		return e;
	tx->action = "device.possible_clone";
	(void)snprintf(tx->note, sizeof(tx->note),
	    "the key of epoch %u was used: %s; in use is %u%s",
	    u->id->epoch, u->how, dev->epoch,
	    u->suspended ? "; suspended by the order's policy" : "");
	return u->suspended ?
	    txn_device_event(tx, dev->dn, EFFECT_BLOCK) : ERR_OK;
}

static enum err
dead_txn(struct txn *tx, struct using *u)
{
	const struct device *dev = &u->device;
	int64_t now = clock_wall_s(tx->call->core->clock);
	struct device_key_row row;
	struct order o;
	enum err e;

	e = store_device_key_get(tx->st, dev->dn, u->id->epoch, &row);
	if (e == ERR_NOT_FOUND) /* nobody can have proven that */
		return ERR_IDENTITY;
	if (e != ERR_OK || dev->state == DEV_VOID ||
	    dev->state == DEV_ERASED)
		return e;
	e = store_order_get(tx->st, dev->order, &o);
	if (e != ERR_OK)
		return e;
	/* Whatever was reported before: an alarm must not mask a proof. */
	u->suspended = o.on_clone == CLONE_SUSPEND && u->audience == NULL &&
	    dev->state == DEV_ACTIVE;
	if (!u->suspended && dev->clone_at != 0 && now >= dev->clone_at &&
	    now - dev->clone_at < ALARM_S)
		return ERR_OK;
	return raise_alarm(tx, u);
}

/*
 * The identity does not say it: with the key of its audience a gateway that
 * has been opened makes identities of any device.
 */
static enum err
may_say(struct txn *tx, const struct using *u)
{
	struct order o;
	uint32_t i;
	enum err e;

	if (u->audience == NULL)
		return ERR_OK;
	e = store_order_get(tx->st, u->device.order, &o);
	for (i = 0; e == ERR_OK && i < o.npeers; i++)
		if (strcmp(o.peers[i], u->audience) == 0)
			return ERR_OK;
	return e == ERR_OK ? ERR_IDENTITY : e;
}

int
epoch_is_news(const struct device *dev, uint32_t epoch)
{
	return epoch != dev->epoch || dev->unproven;
}

/* What was burned by the medium's word alone has shown itself. */
static enum err
note_proven(struct txn *tx, struct using *u)
{
	struct device *dev = &u->device;

	if (!dev->unproven || dev->state == DEV_VOID ||
	    dev->state == DEV_ERASED)
		return ERR_OK;
	dev->unproven = 0;
	tx->action = "device.proven";
	(void)snprintf(tx->note, sizeof(tx->note),
	    "epoch %u: first authentication: %s", dev->epoch, u->how);
	return store_device_update(tx->st, dev);
}

static enum err
used_txn(struct txn *tx)
{
	struct using *u = tx->arg;
	struct device *dev = &u->device;
	enum err e;

	tx->action = NULL;
	u->suspended = 0;
	e = store_device_get(tx->st, u->id->dn, dev); /* locked */
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_IDENTITY : e;
	e = may_say(tx, u);
	if (e != ERR_OK)
		return e;
	if (u->id->epoch == dev->epoch)
		return note_proven(tx, u);
	if (u->id->epoch != dev->pending)
		return dead_txn(tx, u);
	/* Out of service it changes nothing; the refusal says why. */
	if (dev->state != DEV_ACTIVE)
		return ERR_OK;
	dev->unproven = 0;
	return epoch_switch(tx, dev, u->how);
}

static struct alarm_slot *
alarm_slot(struct core *c, const struct pskid *id)
{
	return &c->alarm[(id->dn ^ ((uint64_t)id->tenant << 7)) %
	    ALARM_SLOTS];
}

/*
 * 1: a dead key of this device has been looked at a moment ago. A key of an
 * epoch up to a dead one is itself dead, or in use: nothing is to be noted.
 */
static int
told(struct core *c, const struct using *u)
{
	const struct pskid *id = u->id;
	int64_t now = clock_mono_ms(c->clock);
	const struct alarm_slot *s;
	int yes;

	(void)pthread_mutex_lock(&c->ration_lock);
	s = alarm_slot(c, id);
	yes = s->at != 0 && s->tenant == id->tenant && s->dn == id->dn &&
	    id->epoch <= s->epoch && now - s->at < ALARM_MS &&
	    (s->seen_here || u->audience != NULL);
	(void)pthread_mutex_unlock(&c->ration_lock);
	return yes;
}

static void
tell(struct core *c, const struct using *u)
{
	const struct pskid *id = u->id;

	(void)pthread_mutex_lock(&c->ration_lock);
	*alarm_slot(c, id) = (struct alarm_slot){.tenant = id->tenant,
	    .dn = id->dn, .epoch = id->epoch,
	    .seen_here = u->audience == NULL,
	    .at = clock_mono_ms(c->clock)};
	(void)pthread_mutex_unlock(&c->ration_lock);
}

static void
report(struct core_call *call, const struct using *u)
{
	core_count(call->core->possible_clones);
	log_line(LOG_WARN_, "possible clone: a dead key was used",
	    F_STR("tenant", call->tenant->name),
	    F_STR("device", u->device.device_id),
	    F_INT("epoch", u->id->epoch), F_STR("how", u->how),
	    F_STR("suspended", u->suspended ? "yes" : "no"));
}

enum err
epoch_used(struct core_call *call, const struct pskid *id, const char *how,
    const char *audience)
{
	struct using u = {.id = id, .how = how, .audience = audience};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .object_kind = "device", .arg = &u};
	int alarm;
	enum err e;

	/* What a lost event has changed is not known: build nothing on it. */
	e = tenant_ready(call->core, call->tenant);
	if (e != ERR_OK || told(call->core, &u))
		return e;
	txn_about_device(&tx, id->dn);
	e = txn_run_device(&tx, used_txn);
	if (e != ERR_OK)
		return e;
	if (tx.action != NULL)
		device_cache_forget(call->core->devices, id->tenant, id->dn);
	alarm = tx.action != NULL && u.device.clone_epoch == id->epoch;
	if (alarm)
		report(call, &u);
	if (!device_epoch_valid(&u.device, id->epoch))
		tell(call->core, &u);
	return ERR_OK;
}

enum err
device_admit(struct core_call *call, const struct pskid *id,
    struct device_entry *out, uint64_t *pos)
{
	struct core *c = call->core;
	enum err e;

	e = device_authenticate(c, call->tenant, id, call->may_block, out,
	    pos);
	if (e != ERR_OK || !epoch_is_news(&out->device, out->epoch))
		return e;
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	e = epoch_used(call, id, "at the authority", NULL);
	device_cache_forget(c->devices, id->tenant, id->dn);
	return e == ERR_OK ? device_authenticate(c, call->tenant, id, 1, out,
	    pos) : e;
}

void
core_listener_used(struct core *c, const char *identity,
    const char *request_id)
{
	struct core_call call = {.core = c, .may_block = 1};
	struct pskid id;
	enum err e;

	e = identity_open_own(c, identity, strlen(identity), &id);
	if (e == ERR_OK)
		call.tenant = tenant_by_number(c, id.tenant);
	if (call.tenant == NULL)
		return;
	(void)snprintf(call.request_id, sizeof(call.request_id), "%s",
	    request_id);
	e = epoch_used(&call, &id, "a handshake at the authority",
	    NULL);
	/* Each request under it tries again. */
	if (e != ERR_OK)
		log_line(LOG_WARN_, "use of a device's key not noted",
		    F_STR("identity", identity), F_STR("code", err_code(e)));
}
