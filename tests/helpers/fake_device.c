/* The store in memory: devices, their groups and keys. */
#include "tests/helpers/fake_impl.h"

#include <stdlib.h>
#include <string.h>

struct f_device *
fake_device(struct store *st, uint64_t dn)
{
	struct f_device *r;
	size_t i = 0;

	while ((r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (r->v.dn == dn)
			return r;
	return NULL;
}

static struct f_member *
member(struct store *st, uint64_t dn, uint32_t group, size_t *i)
{
	struct f_member *r;

	while ((r = fake_next(st, T_MEMBER, i)) != NULL)
		if (r->dn == dn && (group == 0 || r->group == group))
			return r;
	return NULL;
}

uint64_t
fake_group_devices(struct store *st, uint32_t number)
{
	struct f_member *m;
	struct f_device *d;
	uint64_t n = 0;
	size_t i = 0;

	while ((m = fake_next(st, T_MEMBER, &i)) != NULL) {
		if (m->group != number)
			continue;
		d = fake_device(st, m->dn);
		n += d != NULL && (d->v.state == DEV_ACTIVE ||
		    d->v.state == DEV_SUSPENDED);
	}
	return n;
}

static int
by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void
fake_device_fill(struct store *st, const struct f_device *r, struct device *out)
{
	struct f_member *m;
	size_t i = 0;

	*out = r->v;
	out->ngroups = 0;
	memset(out->groups, 0, sizeof(out->groups));
	while ((m = member(st, r->v.dn, 0, &i)) != NULL)
		out->groups[out->ngroups++] = m->group;
	qsort(out->groups, out->ngroups, sizeof(out->groups[0]), by_number);
}

/* Another row, not void, that has the names of dev. */
static int
names_taken(struct store *st, const struct device *dev)
{
	struct f_device *r;
	size_t i = 0;

	while ((r = fake_next(st, T_DEVICE, &i)) != NULL) {
		if (r->v.state == DEV_VOID || r->v.dn == dev->dn)
			continue;
		if (strcmp(r->v.device_id, dev->device_id) == 0 ||
		    (strcmp(r->v.serial, dev->serial) == 0 &&
		    strcmp(r->v.order, dev->order) == 0))
			return 1;
	}
	return 0;
}

/* The last epoch that a void device of that name has had. */
static uint32_t
void_epoch(struct store *st, const char *device_id)
{
	struct f_device *r;
	uint32_t most = 0;
	size_t i = 0;

	while ((r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (r->v.state == DEV_VOID && r->v.epoch > most &&
		    strcmp(r->v.device_id, device_id) == 0)
			most = r->v.epoch;
	return most;
}

enum err
store_device_void_epoch(struct store *st, const char *device_id,
    uint32_t *epoch)
{
	enum err e = fake_enter(st, 0);

	if (e == ERR_OK)
		*epoch = void_epoch(st, device_id);
	return e;
}

static enum err
insert(struct store *st, struct device *dev)
{
	struct f_tenant *t = fake_tenant(st);
	struct f_device *r;

	if (t == NULL)
		return ERR_NOT_FOUND;
	dev->dn = 0;
	if (!name_is_device_id(dev->device_id))
		return fake_fail(st, ERR_REQUEST);
	if (dev->state != DEV_VOID && names_taken(st, dev))
		return fake_fail(st, ERR_EXISTS);
	if (fake_order(st, dev->order) == NULL)
		return fake_fail(st, ERR_NOT_FOUND);
	dev->tenant = t->tenant;
	dev->dn = t->next_device++;
	dev->epoch = void_epoch(st, dev->device_id) + 1;
	dev->created_at = dev->changed_at = fake_now();
	r = fake_add(st, T_DEVICE);
	r->v = *dev;
	return ERR_OK;
}

static enum err
add_member(struct store *st, uint64_t dn, uint32_t group)
{
	struct f_member *m;
	size_t i = 0, n = 0;

	if (fake_device(st, dn) == NULL || fake_group(st, group) == NULL)
		return ERR_NOT_FOUND;
	while ((m = member(st, dn, 0, &i)) != NULL) {
		if (m->group == group)
			return fake_fail(st, ERR_EXISTS);
		n++;
	}
	if (n >= DEVICE_GROUPS_MAX)
		return fake_fail(st, ERR_GROUPS_FULL);
	m = fake_add(st, T_MEMBER);
	m->dn = dn;
	m->group = group;
	return ERR_OK;
}

enum err
store_device_insert(struct store *st, struct device *dev)
{
	enum err e = fake_enter(st, 1);
	uint32_t i;

	if (e == ERR_OK && dev->ngroups > DEVICE_GROUPS_MAX)
		return fake_fail(st, ERR_GROUPS_FULL);
	if (e == ERR_OK)
		e = insert(st, dev);
	for (i = 0; e == ERR_OK && i < dev->ngroups; i++) {
		e = add_member(st, dev->dn, dev->groups[i]);
		if (e == ERR_NOT_FOUND)
			e = fake_fail(st, e);
	}
	if (e == ERR_OK)
		fake_device_fill(st, fake_device(st, dev->dn), dev);
	return e;
}

enum err
store_device_get(struct store *st, uint64_t dn, struct device *out)
{
	enum err e = fake_enter(st, 0);
	struct f_device *r = e == ERR_OK ? fake_device(st, dn) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	fake_device_fill(st, r, out);
	return ERR_OK;
}

struct f_device *
fake_device_by_id(struct store *st, const char *device_id)
{
	struct f_device *r;
	size_t i = 0;

	while ((r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (r->v.state != DEV_VOID &&
		    strcmp(r->v.device_id, device_id) == 0)
			break;
	return r;
}

struct f_device *
fake_device_by_serial(struct store *st, const char *order,
    const char *serial)
{
	struct f_device *r;
	size_t i = 0;

	while ((r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (r->v.state != DEV_VOID &&
		    strcmp(r->v.order, order) == 0 &&
		    strcmp(r->v.serial, serial) == 0)
			break;
	return r;
}

enum err
store_device_by_id(struct store *st, const char *device_id,
    struct device *out)
{
	enum err e = fake_enter(st, 0);
	struct f_device *r = e == ERR_OK ?
	    fake_device_by_id(st, device_id) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	fake_device_fill(st, r, out);
	return ERR_OK;
}

enum err
store_device_by_serial(struct store *st, const char *order,
    const char *serial, struct device *out)
{
	enum err e = fake_enter(st, 0);
	struct f_device *r = e == ERR_OK ?
	    fake_device_by_serial(st, order, serial) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	fake_device_fill(st, r, out);
	return ERR_OK;
}

static int
passes(struct store *st, const struct f_device *r,
    const struct device_filter *f)
{
	size_t i = 0;

	if (r->v.dn <= f->after)
		return 0;
	if (f->has_state && r->v.state != f->state)
		return 0;
	if (f->order[0] != '\0' && strcmp(r->v.order, f->order) != 0)
		return 0;
	if (f->model[0] != '\0' && strcmp(r->v.model, f->model) != 0)
		return 0;
	if (strncmp(r->v.device_id, f->prefix, strlen(f->prefix)) != 0)
		return 0;
	return f->group == 0 || member(st, r->v.dn, f->group, &i) != NULL;
}

/* Rows are in the order of their numbers. */
enum err
store_device_list(struct store *st, const struct device_filter *f,
    struct device *rows, size_t *n)
{
	enum err e = fake_enter(st, 0);
	struct f_device *r;
	size_t i = 0, got = 0;

	if (e != ERR_OK)
		return e;
	while (got < f->limit && (r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (passes(st, r, f))
			fake_device_fill(st, r, &rows[got++]);
	*n = got;
	return ERR_OK;
}

enum err
store_device_update(struct store *st, struct device *dev)
{
	enum err e = fake_enter(st, 1);
	struct f_device *r = e == ERR_OK ? fake_device(st, dev->dn) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (dev->state != DEV_VOID && names_taken(st, &r->v))
		return fake_fail(st, ERR_EXISTS);
	r->v.state = dev->state;
	r->v.proof = dev->proof;
	if (dev->pending != 0 && dev->pending <= dev->epoch)
		return fake_fail(st, ERR_REQUEST);
	r->v.epoch = dev->epoch;
	r->v.pending = dev->pending;
	r->v.clones = dev->clones;
	r->v.clone_at = dev->clone_at;
	r->v.clone_epoch = dev->clone_epoch;
	r->v.unproven = dev->unproven;
	r->v.changed_at = fake_now();
	fake_device_fill(st, r, dev);
	return ERR_OK;
}

enum err
store_member_add(struct store *st, uint64_t dn, uint32_t group)
{
	enum err e = fake_enter(st, 1);

	return e == ERR_OK ? add_member(st, dn, group) : e;
}

enum err
store_member_remove(struct store *st, uint64_t dn, uint32_t group)
{
	enum err e = fake_enter(st, 1);
	size_t i = 0;

	if (e != ERR_OK)
		return e;
	if (group == 0 || member(st, dn, group, &i) == NULL)
		return ERR_NOT_FOUND;
	fake_drop(st, T_MEMBER, &i);
	return ERR_OK;
}

struct f_device_key *
fake_device_key(struct store *st, uint64_t dn, uint32_t epoch)
{
	struct f_device_key *r;
	size_t i = 0;

	while ((r = fake_next(st, T_DEVICE_KEY, &i)) != NULL)
		if (r->v.dn == dn && r->v.epoch == epoch)
			return r;
	return NULL;
}

enum err
store_device_key_insert(struct store *st, const struct device_key_row *row)
{
	enum err e = fake_enter(st, 1);
	struct f_device_key *r;

	if (e != ERR_OK)
		return e;
	if (fake_device_key(st, row->dn, row->epoch) != NULL)
		return fake_fail(st, ERR_EXISTS);
	if (fake_device(st, row->dn) == NULL ||
	    (row->data_key != 0 && !fake_has_data_key(st, row->data_key)))
		return fake_fail(st, ERR_NOT_FOUND);
	r = fake_add(st, T_DEVICE_KEY);
	r->v = *row;
	return ERR_OK;
}

enum err
store_device_key_get(struct store *st, uint64_t dn, uint32_t epoch,
    struct device_key_row *out)
{
	enum err e = fake_enter(st, 0);
	struct f_device_key *r;

	r = e == ERR_OK ? fake_device_key(st, dn, epoch) : NULL;
	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	*out = r->v;
	return ERR_OK;
}

enum err
store_device_key_prune(struct store *st, uint64_t dn, uint32_t below)
{
	enum err e = fake_enter(st, 1);
	struct f_device *d = e == ERR_OK ? fake_device(st, dn) : NULL;
	struct f_device_key *r;
	size_t i = 0;

	if (d == NULL)
		return e;
	while ((r = fake_next(st, T_DEVICE_KEY, &i)) != NULL)
		if (r->v.dn == dn && r->v.epoch < below &&
		    r->v.epoch != d->v.epoch &&
		    r->v.epoch != d->v.pending && r->v.released == 0)
			fake_drop(st, T_DEVICE_KEY, &i);
	return ERR_OK;
}

static void
fill_peers(struct store *st, const struct order *o, struct device_auth *d)
{
	struct f_audience *a;
	uint32_t p;
	size_t i;

	for (p = 0; p < o->npeers; p++) {
		for (i = 0; (a = fake_next(st, T_AUDIENCE, &i)) != NULL;)
			if (!a->v.retired &&
			    strcmp(a->v.name, o->peers[p]) == 0)
				memcpy(d->peers[d->npeers++], a->v.name,
				    sizeof(name_t));
	}
}

enum err
store_device_auth(struct store *st, uint64_t dn, uint32_t epoch,
    struct device_auth *out)
{
	enum err e = fake_enter(st, 0);
	struct device_auth d;
	struct f_device_key *k;
	struct f_device *r;
	struct f_order *o;
	struct f_group *g;
	uint32_t i;

	if (e != ERR_OK)
		return e;
	r = fake_device(st, dn);
	k = fake_device_key(st, dn, epoch);
	if (r == NULL || k == NULL)
		return ERR_NOT_FOUND;
	memset(&d, 0, sizeof(d));
	o = fake_order(st, r->v.order);
	fake_device_fill(st, r, &d.device);
	d.pub = r->pub;
	d.key = k->v;
	d.model = fake_model(st, o->v.model)->v;
	memcpy(d.scope, o->v.scope, sizeof(d.scope));
	d.rotate_first = o->v.rotate_first;
	fill_peers(st, &o->v, &d);
	d.pos = fake_tenant(st)->pos;
	d.tenant_blocked = fake_tenant(st)->blocked;
	for (i = 0; i < d.device.ngroups; i++) {
		g = fake_group(st, d.device.groups[i]);
		d.group_blocked |= g != NULL && g->v.blocked;
	}
	*out = d;
	return ERR_OK;
}
