#include <stdio.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

static const struct column columns[] = {
    {"NUMBER", "number"},
    {"KIND", "kind"},
    {"NAME", "name"},
    {"BLOCKED", "blocked"},
    {"DEVICES", "devices"},
};
static const struct column device_columns[] = {
    {"device", "device_id"},
    {"number", "number"},
    {"state", "state"},
    {"groups", "groups"},
};

static int
create(struct ctl *ctl)
{
	int code = ctl_call(ctl, "POST",
	    json_pack("{s:s}", "name", ctl->args.pos[0]), "/v1/groups");

	return code != 0 ? code : ctl_print_object(ctl, columns, N(columns));
}

static int
list(struct ctl *ctl)
{
	int code = ctl_call(ctl, "GET", NULL, "/v1/groups");

	if (code != 0)
		return code;
	return ctl_print_rows(ctl, "groups", columns, N(columns));
}

static int
member(struct ctl *ctl, const char *method, json_t *body)
{
	const struct args *a = &ctl->args;
	uint64_t number;
	int code;

	if (parse_u64(a->pos[0], UINT32_MAX, &number) != ERR_OK) {
		json_decref(body);
		return ctl_usage("%s is no group number; see authctl group "
				 "list",
		    a->pos[0]);
	}
	if (!name_is_device_id(a->pos[1])) {
		json_decref(body);
		return ctl_usage("%s is no device_id", a->pos[1]);
	}
	code = ctl_call(ctl, method, body, "/v1/groups/%llu/devices/%s",
	    (unsigned long long)number, a->pos[1]);
	if (code != 0)
		return code;
	return ctl_print_object(ctl, device_columns, N(device_columns));
}

static int
add(struct ctl *ctl)
{
	return member(ctl, "PUT", json_object());
}

static int
remove_device(struct ctl *ctl)
{
	return member(ctl, "DELETE", NULL);
}

const struct command group_commands[] = {
    {"create", "NAME", "make a group", 1, create, NULL, NULL},
    {"list", NULL, "all groups and how many devices they have", 0, list, NULL,
	NULL},
    {"add", "NUMBER DEVICE", "put a device in, which cuts it", 2, add, NULL,
	NULL},
    {"remove", "NUMBER DEVICE", "take a device out, which cuts it", 2,
	remove_device, NULL, NULL},
    COMMANDS_END,
};
