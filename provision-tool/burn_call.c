#include "provision-tool/burn_record.h"

#include <stdio.h>
#include <string.h>

#include "lib/wire/burn.h"
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
burn_send_answer(struct burn *b, const char *verb)
{
	struct buf body = {.max = BURN_BODY_MAX};
	struct buf answer = {.max = BURN_BODY_MAX};
	struct confirm c;
	char path[BURN_PATH_ROOM];
	enum err e;

	memset(&c, 0, sizeof(c));
	c.epoch = b->unit.epoch;
	c.proof = target_proof(b->target);
	memcpy(c.challenge, b->unit.challenge, sizeof(c.challenge));
	memcpy(c.answer, b->answer, sizeof(c.answer));
	(void)snprintf(path, sizeof(path), "/v1/devices/%s/%s",
		       b->unit.device_id, verb);
	e = wire_confirm_encode(&c, &body);
	if (e == ERR_OK)
		e = burn_call(b, "POST", path, &body, &answer);
	if (e == ERR_OK)
		e = burn_take_answer(b, &answer);
	wipe(&c, sizeof(c));
	buf_free(&body);
	buf_free(&answer);
	return e;
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
