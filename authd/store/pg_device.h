#ifndef STORE_PG_DEVICE_H
#define STORE_PG_DEVICE_H

#include "authd/store/pg.h"

/* What row_device reads, but for the groups (bigint[]) at its end. */
#define PG_DEVICE_COLUMNS \
	"d.number, d.device_id, d.serial, d.order_name, d.model, d.state, " \
	"d.proof, d.epoch, d.pending, d.clones, d.clone_at, d.clone_epoch, " \
	"d.unproven, d.created_at, d.changed_at"
row_fn row_device; /* out is struct device */

#define PG_DEVICE_KEY_COLUMNS \
	"k.device, k.epoch, k.data_key, k.sealed, k.released, k.asked"
row_fn row_device_key; /* out is struct device_key_row */

#endif
