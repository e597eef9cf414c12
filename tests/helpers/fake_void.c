/* The store in memory: units that were scrapped, and what an order came to. */
#include "tests/helpers/fake_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err
store_device_void(struct store *st, uint64_t dn, const char *reason)
{
	enum err e = fake_enter(st, 1);
	struct f_device *r = e == ERR_OK ? fake_device(st, dn) : NULL;

	if (r == NULL)
		return e == ERR_OK ? ERR_NOT_FOUND : e;
	if (strlen(reason) >= sizeof(r->reason))
		return fake_fail(st, ERR_REQUEST);
	r->v.state = DEV_VOID;
	r->v.changed_at = fake_now();
	(void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
	return ERR_OK;
}

static int
was_released(struct store *st, uint64_t dn)
{
	struct f_device_key *k;
	size_t i = 0;

	while ((k = fake_next(st, T_DEVICE_KEY, &i)) != NULL)
		if (k->v.dn == dn && k->v.released > 0)
			return 1;
	return 0;
}

enum err
store_serial_released(struct store *st, const char *order, const char *serial,
    int *released)
{
	enum err e = fake_enter(st, 0);
	struct f_device *r;
	size_t i = 0;
	int any = 0;

	if (e != ERR_OK)
		return e;
	while ((r = fake_next(st, T_DEVICE, &i)) != NULL)
		if (r->v.state == DEV_VOID &&
		    strcmp(r->v.order, order) == 0 &&
		    strcmp(r->v.serial, serial) == 0)
			any |= was_released(st, r->v.dn);
	*released = any;
	return ERR_OK;
}

static int
by_units(const void *a, const void *b)
{
	const struct order_void *x = a, *y = b;

	if (x->units != y->units)
		return x->units > y->units ? -1 : 1;
	return strcmp(x->reason, y->reason);
}

/* One more of that reason among the n there are. */
static size_t
add_reason(struct order_void *all, size_t n, const char *reason)
{
	size_t i;

	for (i = 0; i < n && strcmp(all[i].reason, reason) != 0; i++)
		continue;
	if (i == n) {
		memset(&all[i], 0, sizeof(all[i]));
		(void)snprintf(all[i].reason, sizeof(all[i].reason), "%s",
		    reason);
	}
	all[i].units++;
	return i == n ? n + 1 : n;
}

enum err
store_order_summary(struct store *st, const char *name,
    struct order_summary *out)
{
	enum err e = fake_enter(st, 0);
	struct order_void *all;
	struct f_device *r;
	size_t i = 0, n = 0, most;

	if (e != ERR_OK)
		return e;
	while (fake_next(st, T_DEVICE, &i) != NULL)
		continue;
	all = calloc(i + 1, sizeof(*all));
	if (all == NULL)
		abort();
	memset(out, 0, sizeof(*out));
	for (i = 0; (r = fake_next(st, T_DEVICE, &i)) != NULL;) {
		if (strcmp(r->v.order, name) != 0)
			continue;
		out->states[r->v.state]++;
		out->unproven += r->v.unproven &&
		    (r->v.state == DEV_ACTIVE ||
		    r->v.state == DEV_SUSPENDED);
		if (r->v.state == DEV_VOID)
			n = add_reason(all, n, r->reason);
	}
	qsort(all, n, sizeof(*all), by_units);
	most = n < ORDER_VOIDS_MAX ? n : ORDER_VOIDS_MAX;
	memcpy(out->voids, all, most * sizeof(*all));
	out->nvoids = most;
	free(all);
	return ERR_OK;
}
