/* The store in memory: what a burn looks at, and what it changes. */
#include "tests/helpers/fake_impl.h"

#include <string.h>

enum err
store_reserve_look(struct store *st, const char *order, const char *serial,
    struct reserve_look *out)
{
	enum err e = fake_enter(st, 0);
	struct f_order *o = e == ERR_OK ? fake_order(st, order) : NULL;
	struct f_device *d;

	if (o == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	memset(out, 0, sizeof(*out));
	out->order = o->v;
	d = fake_device_by_serial(st, order, serial);
	out->there = d != NULL;
	if (d != NULL)
		fake_device_fill(st, d, &out->device);
	return ERR_OK;
}

static void
fill_peers(struct store *st, struct burn_look *l)
{
	struct f_audience *a;
	uint32_t p;
	size_t i;

	for (p = 0; p < l->order.npeers; p++) {
		for (i = 0; (a = fake_next(st, T_AUDIENCE, &i)) != NULL;)
			if (!a->v.retired &&
			    strcmp(a->v.name, l->order.peers[p]) == 0)
				l->peers[l->npeers++] = a->v;
	}
}

enum err
store_burn_look(struct store *st, const char *device_id, uint32_t epoch,
    int peers, struct burn_look *out)
{
	enum err e = fake_enter(st, 0);
	struct f_device *d = e == ERR_OK ?
	    fake_device_by_id(st, device_id) : NULL;
	struct f_device_key *k;

	if (d == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	memset(out, 0, sizeof(*out));
	fake_device_fill(st, d, &out->device);
	out->station = d->station;
	out->pub = d->pub;
	k = fake_device_key(st, d->v.dn, epoch);
	out->has_key = k != NULL;
	if (k != NULL)
		out->key = k->v;
	out->order = fake_order(st, d->v.order)->v;
	out->model = fake_model(st, out->order.model)->v;
	if (peers)
		fill_peers(st, out);
	return ERR_OK;
}

/* Another device, not void, has that public key. */
static int
key_taken(struct store *st, uint64_t dn, const struct device_public *pub)
{
	struct f_device *r;
	size_t i = 0;

	while (pub->there && (r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (r->v.dn != dn && r->v.state != DEV_VOID && r->pub.there &&
		    memcmp(r->pub.xy, pub->xy, sizeof(pub->xy)) == 0)
			return 1;
	return 0;
}

enum err
store_burn_released(struct store *st, struct burn_look *l, int renewed)
{
	enum err e = fake_enter(st, 1);
	struct f_device_key *k;
	struct f_device *d;

	if (e != ERR_OK)
		return e;
	d = fake_device(st, l->device.dn);
	k = fake_device_key(st, l->device.dn, l->key.epoch);
	if (d == NULL || k == NULL)
		return ERR_NOT_FOUND;
	if (renewed && !fake_has_data_key(st, l->key.data_key))
		return fake_fail(st, ERR_NOT_FOUND);
	if (key_taken(st, l->device.dn, &l->pub))
		return fake_fail(st, ERR_EXISTS);
	if (d->v.state != l->device.state)
		d->v.changed_at = fake_now();
	d->v.state = l->device.state;
	d->station = l->station;
	d->pub = l->pub;
	if (renewed) {
		k->v.data_key = l->key.data_key;
		k->v.sealed_len = l->key.sealed_len;
		memcpy(k->v.sealed, l->key.sealed, sizeof(k->v.sealed));
	}
	l->key.released = ++k->v.released;
	l->device.changed_at = d->v.changed_at;
	return ERR_OK;
}

enum err
store_burn_key(struct store *st, const struct device_key_row *row)
{
	return store_device_key_insert(st, row);
}

enum err
store_order_enrol(struct store *st, struct device *dev)
{
	uint32_t place;
	enum err e = store_order_take(st, dev->order, &place);

	return e == ERR_OK ? store_device_insert(st, dev) : e;
}
