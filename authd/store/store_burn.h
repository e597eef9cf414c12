#ifndef STORE_BURN_H
#define STORE_BURN_H

/* Part of store.h: what the requests of a burn need, in few round trips. */
struct store;

/* The order and, if there is one, its device of that serial, locked. */
struct reserve_look {
	struct order order;
	int there;
	struct device device;
};
/* ERR_NOT_FOUND: no such order. */
enum err store_reserve_look(struct store *st, const char *order,
    const char *serial, struct reserve_look *out) MUST_CHECK;
/*
 * store_order_take and store_device_insert of dev->order in one: for an order
 * whose device_ids have no place in them. ERR_NOT_FOUND: no such order; after
 * any error there is only the rollback.
 */
enum err store_order_enrol(struct store *st, struct device *dev) MUST_CHECK;
/*
 * Like store_device_key_insert, of a device made in this transaction; what is
 * wrong with it may show only at the commit.
 */
enum err store_burn_key(struct store *st, const struct device_key_row *row)
    MUST_CHECK;
/*
 * The device of that name, locked in a transaction that writes, and what
 * releasing or confirming the key of that epoch is decided by; its peers only
 * if they are asked for, else none. ERR_CONFLICT: the name went to another
 * device meanwhile.
 */
struct burn_look {
	struct device device;
	uint64_t station; /* that its key was released to, 0: none */
	struct device_public pub;
	int has_key;
	struct device_key_row key; /* of the epoch asked for */
	struct order order;
	struct model_row model;
	uint32_t npeers;
	struct audience peers[ORDER_PEERS_MAX]; /* the order's, in service */
};
enum err store_burn_look(struct store *st, const char *device_id,
    uint32_t epoch, int peers, struct burn_look *out) MUST_CHECK;
/*
 * One more release of l->key, counted there, too; to l->station or l->pub.
 * The device's state is l->device's, whose changed_at is set. renewed: the
 * sealed key, too, is another. ERR_EXISTS: the public key is another device's
 * of the tenant that is not void. ERR_NOT_FOUND: no such device or key.
 */
enum err store_burn_released(struct store *st, struct burn_look *l,
    int renewed) MUST_CHECK;

#endif
