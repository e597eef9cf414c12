#include "authd/core/core_internal.h"

#include <stdio.h>
#include <string.h>

static enum err
create_txn(struct txn *tx)
{
	struct group *g = tx->arg, present;
	enum err e;

	e = store_group_by_name(tx->st, g->kind, g->name, &present);
	if (e == ERR_OK)
		return ERR_EXISTS;
	if (e != ERR_NOT_FOUND)
		return e;
	e = store_group_insert(tx->st, g);
	return e == ERR_EXISTS ? ERR_CONFLICT : e;
}

enum err
core_group_create(struct core_call *call, const char *name,
    struct group *out)
{
	struct group g = {.kind = GROUP_FREE};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = "group.create", .object_kind = "group", .arg = &g};
	enum err e;

	if (!name_is_order(name))
		return ERR_NAME;
	(void)snprintf(g.name, sizeof(g.name), "%s", name);
	memcpy(tx.object, g.name, sizeof(tx.object));
	e = txn_run(&tx, create_txn);
	if (e == ERR_OK)
		*out = g;
	return e;
}

struct listing {
	struct group *rows;
	size_t max, n;
};

static enum err
list_txn(struct txn *tx)
{
	struct listing *l = tx->arg;

	return store_group_list(tx->st, l->rows, l->max, &l->n);
}

enum err
core_group_list(struct core_call *call, struct group *rows, size_t max,
    size_t *n)
{
	struct listing l = {rows, max, 0};
	struct txn tx = {.call = call, .mode = STORE_READ, .arg = &l};
	enum err e;

	e = txn_run(&tx, list_txn);
	if (e == ERR_OK)
		*n = l.n;
	return e;
}

struct membership {
	uint32_t group;
	const char *device_id;
	int join;
	struct device device;
};

static int
is_member(const struct device *d, uint32_t group)
{
	uint32_t i;

	for (i = 0; i < d->ngroups && i < DEVICE_GROUPS_MAX; i++)
		if (d->groups[i] == group)
			return 1;
	return 0;
}

/*
 * What the device obtained before tells other groups than it is in now, so
 * an event of the group would pass it by: it is cut, and gets anew.
 */
static enum err
cut_and_read(struct txn *tx, struct membership *m)
{
	uint64_t dn = m->device.dn;
	enum err e = ERR_OK;

	if (m->device.state == DEV_ACTIVE || m->device.state == DEV_SUSPENDED)
		e = txn_device_event(tx, dn, EFFECT_CUT);
	return e == ERR_OK ? store_device_get(tx->st, dn, &m->device) : e;
}

static enum err
member_txn(struct txn *tx)
{
	struct membership *m = tx->arg;
	struct group g;
	enum err e;

	e = not_found(tx->call, store_group_get(tx->st, m->group, &g),
	    "group", tx->object);
	if (e == ERR_OK)
		e = not_found(tx->call, store_device_by_id(tx->st,
		    m->device_id, &m->device), "device", m->device_id);
	if (e != ERR_OK)
		return e;
	/* Locks the row, so that the groups read are those that stand. */
	e = store_device_get(tx->st, m->device.dn, &m->device);
	if (e != ERR_OK)
		return e;
	if (g.kind != GROUP_FREE) {
		detail_set(&tx->call->detail, "members of group %u are its "
		    "%s's own", (unsigned)m->group, group_kind_name(g.kind));
		return ERR_REQUEST;
	}
	if (is_member(&m->device, m->group) == m->join) {
		if (m->join)
			return ERR_OK;
		detail_set(&tx->call->detail, "device %s is not in group %u",
		    m->device_id, (unsigned)m->group);
		return ERR_NOT_FOUND;
	}
	if (m->join && m->device.ngroups >= DEVICE_GROUPS_MAX)
		return ERR_GROUPS_FULL;
	e = m->join ? store_member_add(tx->st, m->device.dn, m->group) :
	    store_member_remove(tx->st, m->device.dn, m->group);
	return e == ERR_OK ? cut_and_read(tx, m) : e;
}

enum err
core_group_member(struct core_call *call, uint32_t group,
    const char *device_id, int join, struct device *out)
{
	struct membership m = {.group = group, .device_id = device_id,
	    .join = join != 0};
	struct txn tx = {.call = call, .mode = STORE_WRITE,
	    .action = join ? "group.join" : "group.leave",
	    .object_kind = "group", .arg = &m};
	enum err e;

	if (!name_is_device_id(device_id))
		return not_found(call, ERR_NOT_FOUND, "device", NULL);
	(void)snprintf(tx.object, sizeof(tx.object), "%u", group);
	(void)snprintf(tx.note, sizeof(tx.note), "device %s", device_id);
	e = txn_run(&tx, member_txn);
	if (e == ERR_OK)
		*out = m.device;
	return e;
}
