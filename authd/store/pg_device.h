#ifndef STORE_PG_DEVICE_H
#define STORE_PG_DEVICE_H

#include "authd/store/pg.h"

/* What row_device reads, but for the groups (bigint[]) at its end. */
#define PG_DEVICE_COLUMNS \
	"d.number, d.device_id, d.serial, d.order_name, d.model, d.state, " \
	"d.proof, d.epoch, d.pending, d.clones, d.clone_at, d.clone_epoch, " \
	"d.unproven, d.created_at, d.changed_at"
#define PG_DEVICE_GROUPS \
	"ARRAY(SELECT x.device_group FROM device_member x " \
	"WHERE x.tenant = d.tenant AND x.device = d.number ORDER BY 1)"
#define PG_DEVICE_LOCK " FOR NO KEY UPDATE OF d"
row_fn row_device; /* out is struct device */

/* By names that a void device gives up. */
#define PG_DEVICE_BY_ID "d.device_id = $1 AND d.state <> 6"
#define PG_DEVICE_BY_SERIAL \
	"d.order_name = $1 AND d.serial = $2 AND d.state <> 6"

#define PG_DEVICE_KEY_COLUMNS \
	"k.device, k.epoch, k.data_key, k.sealed, k.released, k.asked"
row_fn row_device_key; /* out is struct device_key_row */
row_fn row_public; /* of d.public_key; out is struct device_public */

/* Of a production_order o and its model m. */
#define PG_ORDER_COLUMNS \
	"o.name, o.model, o.device_group, m.device_group, o.quantity, " \
	"o.issued, o.expires_at, o.created_at, o.closed, o.derived, " \
	"o.reburn, o.min_proof, o.serial_pattern, o.id_template, o.scope, " \
	"o.stations, o.peers, o.rotate_first, o.on_clone"
#define PG_ORDER_FROM \
	" FROM production_order o JOIN model m " \
	"ON m.tenant = o.tenant AND m.name = o.model "
row_fn row_order; /* out is struct order */
/* Takes a place of the order $1; its answer, or why there was none. */
extern const struct stmt pg_order_take;
enum err pg_order_taken(struct store *st, const PGresult *res,
    const char *name, uint32_t *place) MUST_CHECK;

#define PG_MODEL_COLUMNS \
	"m.name, m.number, m.device_group, m.data_key, m.master"
row_fn row_model; /* out is struct model_row */

#define PG_AUDIENCE_COLUMNS "a.name, a.host, a.port, a.retired"
row_fn row_audience; /* out is struct audience */

#define PG_NOW "floor(extract(epoch FROM clock_timestamp()))::bigint"

#endif
