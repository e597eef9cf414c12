#include "provision-tool/burn_record.h"

#include <stdio.h>
#include <string.h>

#include "lib/wire/registry.h"

enum err
burn_call(struct burn *b, const char *method, const char *path,
     const struct buf *body, struct buf *answer)
{
	struct problem why;
	enum err e;

	memset(&why, 0, sizeof(why));
	e = client_call(b->client, method, path, NULL, body, answer, &why);
	b->away = err_retryable(e);
	if (e != ERR_OK && why.detail[0] != '\0')
		detail_set(&b->detail, "%.199s", why.detail);
	return e;
}

enum err
burn_take_device(struct burn *b, const struct device *dev)
{
	if (strcmp(dev->serial, b->serial) != 0 ||
	    strcmp(dev->order, b->order) != 0 || dev->epoch == 0 ||
	    !name_is_device_id(dev->device_id) ||
	    !burn_segment_ok(dev->device_id) ||
	    (b->unit.device_id[0] != '\0' &&
	     strcmp(dev->device_id, b->unit.device_id) != 0)) {
		detail_set(&b->detail, "the answer is of another device");
		return ERR_INTERNAL;
	}
	/* the number tells a void identity from its successor by that name */
	if (b->unit.dn != 0 && dev->dn != b->unit.dn) {
		detail_set(&b->detail, "the identity was made void meanwhile");
		return ERR_WRONG_STATE;
	}
	b->device = *dev;
	return ERR_OK;
}

enum err
burn_take_answer(struct burn *b, const struct buf *answer)
{
	struct device dev;
	json_error_t why;
	json_t *o;
	enum err e;

	memset(&dev, 0, sizeof(dev));
	o = json_loadb(answer->p, answer->len, JSON_REJECT_DUPLICATES, &why);
	if (o == NULL) {
		detail_set(&b->detail, "the answer is not JSON");
		return ERR_INTERNAL;
	}
	e = wire_device_decode_json(o, &dev, &b->detail);
	json_decref(o);
	return e == ERR_OK ? burn_take_device(b, &dev) : ERR_INTERNAL;
}

enum err
burn_find_unit(struct burn *b, const char *device_id)
{
	enum err e;

	b->step = "journal";
	if (device_id != NULL) {
		(void)snprintf(b->unit.device_id, sizeof(b->unit.device_id),
			       "%s", device_id);
	} else if ((e = journal_claim(b->journal, b->serial)) != ERR_OK) {
		detail_set(&b->detail, "another run is burning this unit");
		return e;
	} else {
		e = journal_last(b->journal, b->serial, &b->unit);
		if (e == ERR_NOT_FOUND)
			detail_set(&b->detail, "this journal has no burn of "
				   "it: give --device-id");
		if (e != ERR_OK)
			return e;
	}
	if (name_is_device_id(b->unit.device_id) &&
	    burn_segment_ok(b->unit.device_id))
		return ERR_OK;
	detail_set(&b->detail, "its burn has not come to a device_id");
	return ERR_NOT_FOUND;
}
