#include <stddef.h>
#include <stdio.h>

#include "lib/base/opt.h"
#include "provision-tool/cmd.h"
#include "provision-tool/tell.h"
#include "provision-tool/unit.h"
#include "provision-tool/verify.h"

struct verify_opts {
	int help, json;
	const char *serial, *device_id;
	struct station st;
};

#define AT(member) offsetof(struct verify_opts, member)
static const struct opt options[] = {
    STATION_OPTIONS(verify_opts),
    {"serial", 's', OPT_STRING, "SERIAL", "serial number, as scanned",
     AT(serial), 0, NULL},
    {"device-id", 0, OPT_STRING, "ID",
     "of a unit that was burned elsewhere [by the journal]", AT(device_id), 0,
     NULL},
    {"json", 0, OPT_FLAG, NULL, "print the result as JSON", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "verify",
    .synopsis = "--order ORDER --serial SERIAL --target KIND:WHERE",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
};

static const char *
fault_of(const struct verify_opts *o)
{
	if (o->serial == NULL)
		return "missing option --serial";
	if (o->st.target == NULL)
		return "missing option --target";
	if (o->device_id != NULL && !name_is_device_id(o->device_id))
		return "that is no device_id";
	return station_fault(&o->st);
}

static void
tell(const struct verify_opts *o, const struct burn *b, enum err e)
{
	struct told t = {.serial = o->serial, .step = b->step, .e = e,
			 .detail = &b->detail, .device = &b->device,
			 .target = target_name(b->target),
			 .verified = proof_name(target_proof(b->target))};

	tell_unit(&t, o->json);
}

int
cmd_verify(int argc, char **argv)
{
	struct verify_opts o = {0};
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
	e = burn_verify(&b, o.device_id);
	tell(&o, &b, e);
	code = e == ERR_REQUEST ? USAGE : tell_exit(e);
out:
	unit_close(&b);
	return code;
}
