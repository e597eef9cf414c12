#include "authd/core/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A ticket has expired: what has not become a device of it, not burned, not
 * told of or told in vain, is void, its place given back and its key
 * destroyed.
 */
/* What somebody has made void before has given its place back by then. */
static enum err
void_unit(struct store *st, const char *order, uint64_t dn, unsigned *gone)
{
	struct device dev;
	enum err e;

	e = store_device_get(st, dn, &dev); /* locked */
	if (e == ERR_OK && (dev.state == DEV_RESERVED ||
	    dev.state == DEV_BURNING)) {
		dev.state = DEV_VOID;
		e = store_device_void(st, dn, "its ticket expired");
		if (e == ERR_OK)
			e = store_order_give_back(st, order);
		*gone += e == ERR_OK;
	}
	return e == ERR_OK && dev.state == DEV_VOID ?
	    store_device_key_destroy(st, dn) : e;
}

static enum err
note(struct store *st, const struct ticket_row *t, unsigned gone)
{
	struct audit a = {0};

	(void)snprintf(a.action, sizeof(a.action), "ticket.expire");
	(void)snprintf(a.object_kind, sizeof(a.object_kind), "order");
	(void)snprintf(a.object, sizeof(a.object), "%s", t->order);
	(void)snprintf(a.outcome, sizeof(a.outcome), "%s", err_code(ERR_OK));
	(void)snprintf(a.request_id, sizeof(a.request_id), "-");
	(void)snprintf(a.detail, sizeof(a.detail),
	    "ticket %s: %u of %u identities void", t->id, gone, t->count);
	return audit_write(st, &a);
}

static enum err
sweep_txn(struct store *st, int64_t now)
{
	struct ticket_unit_row *rows = NULL;
	struct ticket_row t, locked;
	unsigned gone = 0;
	size_t i, n = 0;
	enum err e;

	e = store_ticket_expired(st, now, &t);
	if (e == ERR_OK)
		e = store_ticket_get(st, t.id, &locked);
	if (e != ERR_OK || locked.swept)
		return e;
	rows = calloc(TICKET_UNITS_MAX, sizeof(*rows));
	e = rows == NULL ? ERR_NOMEM : store_ticket_unit_list(st, t.id, rows,
	    TICKET_UNITS_MAX, &n);
	for (i = 0; e == ERR_OK && i < n; i++)
		e = void_unit(st, t.order, rows[i].dn, &gone);
	if (e == ERR_OK)
		e = store_ticket_sweep(st, t.id);
	if (e == ERR_OK)
		e = note(st, &t, gone);
	free(rows);
	return e;
}

enum err
tickets_sweep(struct core *c, struct store *st, uint32_t tenant,
    uint32_t limit)
{
	enum err e = ERR_OK;

	while (e == ERR_OK && limit-- > 0) {
		e = store_begin(st, tenant, STORE_WRITE);
		if (e == ERR_OK)
			e = sweep_txn(st, clock_wall_s(c->clock));
		if (e == ERR_OK)
			e = store_commit(st);
		if (e != ERR_OK)
			store_rollback(st);
	}
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}
