#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/model/caller.h"

static const struct column columns[] = {
    {"NAME", "name"},
    {"NUMBER", "number"},
    {"ROLE", "role"},
    {"AUDIENCES", "audiences"},
    {"DISABLED", "disabled"},
    {"CREATED", "created_at"},
};

/* Everything but the credential, which has gone where it belongs. */
static int
print_caller(struct ctl *ctl, json_t *o)
{
	char *text;

	(void)json_object_del(o, "credential");
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

/* What a gateway needs to begin with: docs/feed.md, Enrolment. */
static json_t *
enrolment(const struct ctl *ctl, json_t *o)
{
	const char *urls = ctl->args.urls != NULL ? ctl->args.urls :
	    ctl->args.url;

	return json_pack("{s:O, s:o, s:O, s:O, s:O, s:O}",
	    "issuer", json_object_get(o, "issuer"), "urls", ctl_list(urls),
	    "gateway", json_object_get(o, "name"),
	    "audiences", json_object_get(o, "audiences"),
	    "credential", json_object_get(o, "credential"),
	    "root", json_object_get(o, "root"));
}

static int
write_enrolment(const struct ctl *ctl, json_t *o)
{
	json_t *e;
	char *text;
	int code;

	if (json_object_get(o, "root") == NULL ||
	    json_object_get(o, "issuer") == NULL)
		return ctl_refused("the answer has no root key: the "
				   "authority is too old to enrol gateways");
	e = enrolment(ctl, o);
	text = e == NULL ? NULL : json_dumps(e, JSON_COMPACT);
	json_decref(e);
	if (text == NULL)
		return ctl_refused("out of memory");
	code = ctl_secret_write(ctl->args.enrolment_out, text);
	wipe(text, strlen(text));
	free(text);
	return code;
}

static int
write_secret(const struct ctl *ctl, json_t *o)
{
	const char *credential;
	int code = EXIT_DONE;

	credential = json_string_value(json_object_get(o, "credential"));
	if (credential == NULL)
		return ctl_refused("the answer has no credential");
	if (ctl->args.enrolment_out != NULL)
		code = write_enrolment(ctl, o);
	if (code == EXIT_DONE && ctl->args.credential_out != NULL)
		code = ctl_credential_write(ctl, credential);
	return code;
}

static int
check_files(const struct args *a, enum role role)
{
	int code = 0;

	if (a->enrolment_out != NULL && role != ROLE_GATEWAY)
		return ctl_usage("--enrolment-out is for a gateway");
	if (a->enrolment_out != NULL)
		code = ctl_secret_check(a->enrolment_out, "enrolment-out");
	if (code == 0 &&
	    (a->enrolment_out == NULL || a->credential_out != NULL))
		code = ctl_secret_check(a->credential_out, "credential-out");
	return code;
}

static int
create(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	enum role role;
	json_t *o, *body;
	int code;

	if (a->role == NULL || role_parse(a->role, &role) != ERR_OK)
		return ctl_usage("give --role station, gateway, admin, "
				 "revoker or auditor");
	code = check_files(a, role);
	if (code != 0)
		return code;
	body = json_pack("{s:s, s:s, s:o}", "name", a->pos[0], "role", a->role,
	    "audiences", ctl_list(a->audiences));
	code = ctl_call(ctl, "POST", body, "/v1/callers");
	if (code != 0)
		return code;
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	code = write_secret(ctl, o);
	if (code == EXIT_DONE)
		code = print_caller(ctl, o);
	json_decref(o);
	return code;
}

static int
list(struct ctl *ctl)
{
	int code = ctl_call(ctl, "GET", NULL, "/v1/callers");

	if (code != 0)
		return code;
	return ctl_print_rows(ctl, "callers", columns, N(columns));
}

static int
disable(struct ctl *ctl)
{
	json_t *o;
	int code;

	if (!name_is_order(ctl->args.pos[0]))
		return ctl_usage("%s is no caller name", ctl->args.pos[0]);
	code = ctl_call(ctl, "POST", json_object(), "/v1/callers/%s/disable",
	    ctl->args.pos[0]);
	if (code != 0)
		return code;
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	code = print_caller(ctl, o);
	json_decref(o);
	return code;
}

#define O(m) offsetof(struct args, m)
static const struct opt create_options[] = {
    {"role", 'r', OPT_STRING, "ROLE",
	"station, gateway, admin, revoker or auditor", O(role), 0, NULL},
    {"audiences", 0, OPT_STRING, "LIST", "a gateway's audiences, with commas",
	O(audiences), 0, NULL},
    {"credential-out", 'o', OPT_STRING, "FILE",
	"where the credential goes, mode 0600; '-' prints it",
	O(credential_out), 0, NULL},
    {"enrolment-out", 0, OPT_STRING, "FILE",
	"where all goes that a gateway begins with, its credential and the "
	"root key too; mode 0600",
	O(enrolment_out), 0, NULL},
    {"urls", 0, OPT_STRING, "LIST",
	"the authority's URLs in that file, with commas; else the one used "
	"here",
	O(urls), 0, NULL},
    OPTIONS_END,
};
#undef O

const struct command caller_commands[] = {
    {"create", "NAME", "make a caller and its credential", 1, create,
	create_options, NULL},
    {"list", NULL, "all callers", 0, list, NULL, NULL},
    {"disable", "NAME", "make a caller's credential dead", 1, disable, NULL,
	NULL},
    COMMANDS_END,
};
