#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/opt.h"
#include "lib/wire/wire.h"
#include "provision-tool/cmd.h"
#include "provision-tool/scrap.h"
#include "provision-tool/tell.h"
#include "provision-tool/unit.h"

struct void_opts {
	int help, json;
	const char *serial, *device_id, *reason;
	struct station st;
};

#define AT(member) offsetof(struct void_opts, member)
static const struct opt options[] = {
    STATION_WAY(void_opts),
    {"serial", 's', OPT_STRING, "SERIAL", "serial number, as scanned",
     AT(serial), 0, NULL},
    {"reason", 'r', OPT_STRING, "TEXT", "why, for audit and report",
     AT(reason), 0, NULL},
    {"device-id", 0, OPT_STRING, "ID",
     "of a unit that was begun elsewhere [by the journal]", AT(device_id), 0,
     NULL},
    {"json", 0, OPT_FLAG, NULL, "print the result as JSON", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "void",
    .synopsis = "--order ORDER --serial SERIAL --reason TEXT",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
};

static int
reason_ok(const char *s)
{
	json_t *text = json_string(s); /* NULL if it is not UTF-8 */
	int ok = text != NULL && s[0] != '\0' && strlen(s) <= VOID_REASON_MAX;

	json_decref(text);
	return ok;
}

static const char *
fault_of(const struct void_opts *o)
{
	if (o->serial == NULL)
		return "missing option --serial";
	if (o->reason == NULL)
		return "missing option --reason";
	if (!reason_ok(o->reason))
		return "--reason: 1 to 200 octets of text";
	if (o->device_id != NULL && !name_is_device_id(o->device_id))
		return "that is no device_id";
	return station_fault(&o->st);
}

static void
tell(const struct void_opts *o, const struct burn *b, enum err e)
{
	struct told t = {.serial = o->serial, .step = b->step, .e = e,
			 .detail = &b->detail, .device = &b->device,
			 .target = "", .scrapped = 1};

	tell_unit(&t, o->json);
}

int
cmd_void(int argc, char **argv)
{
	struct void_opts o = {0};
	struct burn b = {0};
	enum err e;
	int code;

	if ((code = cmd_options(&self, argc, argv, &o, &o.help)) != GO_ON)
		return code;
	if (fault_of(&o) != NULL)
		return cmd_usage(&self, fault_of(&o));
	if ((code = tell_serial(o.serial)) != DONE)
		return code;
	code = unit_open(&o.st, o.serial, o.device_id == NULL, &b);
	if (code != GO_ON)
		goto out;
	e = burn_scrap(&b, o.device_id, o.reason);
	tell(&o, &b, e);
	code = tell_exit(e);
out:
	unit_close(&b);
	return code;
}
