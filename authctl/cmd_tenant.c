#include <stdio.h>
#include <stdlib.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/model/names.h"

static const struct column columns[] = {
    {"name", "name"},
    {"number", "number"},
    {"issuer", "issuer"},
};

static int
print_tenant(struct ctl *ctl, json_t *o)
{
	char *text;

	(void)json_object_del(o, "admin_credential");
	if (!ctl->args.json) {
		(void)table_object(columns, N(columns), o);
		return EXIT_DONE;
	}
	text = json_dumps(o, JSON_COMPACT);
	if (text == NULL)
		return ctl_refused("out of memory");
	printf("%s\n", text);
	free(text);
	return EXIT_DONE;
}

static int
create(struct ctl *ctl)
{
	const char *credential;
	json_t *o;
	int code;

	if (!name_is_tenant(ctl->args.pos[0]))
		return ctl_usage("%s is no tenant name: 1 to 64 of a-z, 0-9, "
				 "-",
		    ctl->args.pos[0]);
	code = ctl_credential_check(ctl);
	if (code != 0)
		return code;
	code = ctl_call(ctl, "POST",
	    json_pack("{s:s}", "name", ctl->args.pos[0]), "/v1/tenants");
	if (code != 0)
		return code;
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	credential = json_string_value(json_object_get(o, "admin_credential"));
	if (credential == NULL)
		code = ctl_refused("the answer has no admin credential");
	else
		code = ctl_credential_write(ctl, credential);
	if (code == EXIT_DONE)
		code = print_tenant(ctl, o);
	json_decref(o);
	return code;
}

static const struct opt create_options[] = {
    {"credential-out", 'o', OPT_STRING, "FILE",
	"where its admin's credential goes, mode 0600; '-' prints it",
	offsetof(struct args, credential_out), 0, NULL},
    OPTIONS_END,
};

const struct command tenant_commands[] = {
    {"create", "NAME", "make a tenant with its own keys and admin", 1, create,
	create_options, NULL},
    COMMANDS_END,
};
