#include "authd/core/tickets.h"

#include <stdio.h>
#include <string.h>

struct reserving {
	const char *order, *serial;
	struct reserve_look look;
	struct device device;
	int created;
	int raced; /* in an attempt before: look twice */
};

/* A unit that has an identity gets the same again, or none. */
static enum err
again(struct txn *tx, const struct order *o, const struct device *present)
{
	enum err e;

	if (present->state == DEV_BURNING && o->reburn == REBURN_NEVER)
		return key_was_released(tx, present);
	if (present->state == DEV_RESERVED || present->state == DEV_BURNING)
		return ERR_OK;
	e = reburn_approved(tx, present);
	if (e != ERR_NOT_FOUND)
		return e;
	detail_set(&tx->call->detail, "device %s is %s", present->device_id,
	    device_state_name(present->state));
	return ERR_SERIAL_USED;
}

/* K, unless it is derived: the row then says so by having none. */
static enum err
make_key(struct txn *tx, const struct device *dev, int derived)
{
	struct device_key_row row = {.dn = dev->dn, .epoch = dev->epoch};
	struct key32 k;
	enum err e;

	if (derived)
		return store_burn_key(tx->st, &row);
	e = device_key_fill(tx->call->core, tx->call->tenant->number, &row,
	    &k);
	key32_wipe(&k);
	return e == ERR_OK ? store_burn_key(tx->st, &row) : e;
}

/* Another order's, with a device_id that its template makes, too. */
static enum err
check_free(struct txn *tx, const struct device *dev)
{
	struct device other;
	enum err e;

	e = store_device_by_id(tx->st, dev->device_id, &other);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	detail_set(&tx->call->detail, "device_id %s is taken by another "
	    "order's device", dev->device_id);
	return ERR_EXISTS;
}

static void
fill_device(struct txn *tx, const struct order *o, struct device *dev)
{
	memset(dev, 0, sizeof(*dev));
	dev->tenant = tx->call->tenant->number;
	dev->state = DEV_RESERVED;
	memcpy(dev->order, o->name, sizeof(dev->order));
	memcpy(dev->model, o->model, sizeof(dev->model));
	dev->ngroups = 2;
	dev->groups[0] = o->model_group;
	dev->groups[1] = o->group;
}

static enum err
name_device(struct txn *tx, const struct order *o, uint32_t place,
    struct device *dev)
{
	enum err e = order_device_id(o, dev->serial, place, dev->device_id);

	if (e != ERR_OK)
		detail_set(&tx->call->detail, "serial %s makes no device_id "
		    "of this order's template", dev->serial);
	return e;
}

/* Does the unit's name say which place it has? */
static int
names_place(const struct order *o)
{
	return strstr(o->id_template, "{n}") != NULL ||
	    strstr(o->id_template, "{n:") != NULL;
}

/* Another one was faster with a name: start again, find it. */
static enum err
overtaken(enum err e)
{
	return e == ERR_EXISTS ? ERR_CONFLICT : e;
}

/* The order's row is locked behind the first statement: few round trips. */
static enum err
take_then_insert(struct txn *tx, const struct order *o, const char *serial,
    int look, struct device *dev)
{
	uint32_t place;
	enum err e;

	e = store_order_take(tx->st, o->name, &place);
	if (e != ERR_OK)
		return e;
	if (serial == NULL)
		(void)snprintf(dev->serial, sizeof(dev->serial), "%c%u",
		    TICKET_SERIAL, place);
	e = name_device(tx, o, place, dev);
	if (e == ERR_OK && look)
		e = check_free(tx, dev);
	return e == ERR_OK ? overtaken(store_device_insert(tx->st, dev)) : e;
}

enum err
serial_is_new(struct txn *tx, const struct order *o, const char *serial)
{
	int released = 0;
	enum err e;

	if (o->reburn != REBURN_NEVER || serial == NULL)
		return ERR_OK;
	e = store_serial_released(tx->st, o->name, serial, &released);
	if (e != ERR_OK || !released)
		return e;
	detail_set(&tx->call->detail, "its key was released once, which the "
	    "order's policy never does again");
	return ERR_SERIAL_USED;
}

enum err
order_enrol(struct txn *tx, const struct order *o, const char *serial,
    int look, struct device *dev)
{
	enum err e;

	fill_device(tx, o, dev);
	if (serial != NULL)
		(void)snprintf(dev->serial, sizeof(dev->serial), "%s", serial);
	if (serial == NULL || look || names_place(o)) {
		e = take_then_insert(tx, o, serial, look, dev);
	} else {
		e = name_device(tx, o, 0, dev);
		if (e == ERR_OK)
			e = overtaken(store_order_enrol(tx->st, dev));
	}
	/* What was scrapped while it waited is seen from here on only. */
	if (e == ERR_OK)
		e = serial_is_new(tx, o, serial);
	return e == ERR_OK ? make_key(tx, dev, o->derived) : e;
}

/*
 * While this one waited for the order's row, another one may have reserved
 * the same serial, may be in the last place: start again, find it. Only who
 * still has the trouble then looks where it comes from.
 */
static enum err
reserve_new(struct txn *tx, struct reserving *r)
{
	enum err e;

	/*
	 * All stations wait for the order's row: not for the disk as well.
	 * A reservation that others see gives nothing away, and what they
	 * commit on it is behind it in the log.
	 */
	store_unlock_early(tx->st);
	e = order_enrol(tx, &r->look.order, r->serial, r->raced, &r->device);
	if (e == ERR_ORDER_FULL && !r->raced)
		e = ERR_CONFLICT;
	r->raced |= e == ERR_CONFLICT;
	return e;
}

static enum err
reserve_txn(struct txn *tx)
{
	struct reserving *r = tx->arg;
	const struct order *o = &r->look.order;
	enum err e;

	e = not_found(tx->call, store_reserve_look(tx->st, r->order,
	    r->serial, &r->look), "order", r->order);
	if (e == ERR_OK)
		e = order_admits(tx->call, o);
	if (e == ERR_OK) /* before a number is taken */
		e = order_check_serial(o, r->serial);
	if (e != ERR_OK)
		return e;
	r->created = !r->look.there;
	if (r->created) {
		e = reserve_new(tx, r);
	} else {
		r->device = r->look.device;
		e = again(tx, o, &r->device);
	}
	if (e == ERR_OK)
		(void)snprintf(tx->note, sizeof(tx->note),
		    "serial %s device %llu%s", r->serial,
		    (unsigned long long)r->device.dn,
		    r->created ? "" : " again");
	return e;
}

enum err
core_reserve(struct core_call *call, const char *order, const char *serial,
    struct device *out, int *created)
{
	struct reserving r = {.order = order, .serial = serial};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "device.reserve", .object_kind = "order", .arg = &r};
	enum err e;

	if (!name_is_order(order))
		return not_found(call, ERR_NOT_FOUND, "order", NULL);
	if (!name_is_serial(serial))
		return ERR_SERIAL_PATTERN;
	if (!call->may_block)
		return ERR_WOULD_BLOCK;
	(void)snprintf(tx.object, sizeof(tx.object), "%s", order);
	(void)snprintf(tx.note, sizeof(tx.note), "serial %s", serial);
	e = call_check(call);
	if (e == ERR_OK)
		e = keyring_prepare(call->core, call->tenant->number);
	if (e == ERR_OK)
		e = txn_run(&tx, reserve_txn);
	if (e == ERR_OK) {
		*out = r.device;
		*created = r.created;
	}
	return e;
}
