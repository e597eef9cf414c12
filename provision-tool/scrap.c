#include "provision-tool/scrap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/wire/wire.h"
#include "provision-tool/burn_record.h"

#define STEP "void"

static enum err
ask(struct burn *b, const char *reason)
{
	struct buf body = {.max = BURN_BODY_MAX};
	struct buf answer = {.max = BURN_BODY_MAX};
	char path[BURN_PATH_ROOM];
	enum err e;

	(void)snprintf(path, sizeof(path), "/v1/devices/%s/void",
		       b->unit.device_id);
	e = jout(json_pack("{ss}", "reason", reason), &body);
	if (e == ERR_OK)
		e = burn_call(b, "POST", path, &body, &answer);
	if (e == ERR_OK)
		e = burn_take_answer(b, &answer);
	if (e == ERR_OK && b->device.state != DEV_VOID) {
		detail_set(&b->detail, "device is %s, not void",
			   device_state_name(b->device.state));
		e = ERR_WRONG_STATE;
	}
	buf_free(&body);
	buf_free(&answer);
	return e;
}

static enum err
note(struct burn *b)
{
	enum err e;

	if (b->journal == NULL)
		return ERR_OK;
	e = copy_str(b->unit.step, sizeof(b->unit.step), STEP);
	if (e == ERR_OK)
		e = journal_append(b->journal, &b->unit);
	if (e != ERR_OK) {
		b->unnoted = 1;
		detail_set(&b->detail, "it is void, but the journal cannot be "
			   "written: %s",
			   e == ERR_IO ? strerror(errno) : err_text(e));
	}
	return e;
}

enum err
burn_scrap(struct burn *b, const char *device_id, const char *reason)
{
	enum err e;

	if ((e = burn_find_unit(b, device_id)) != ERR_OK)
		return e;
	b->step = STEP;
	if ((e = ask(b, reason)) != ERR_OK)
		return e;
	b->step = "journal";
	return note(b);
}
