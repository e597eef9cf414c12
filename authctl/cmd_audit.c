#include <stdio.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/model/names.h"

static const struct column columns[] = {
    {"NUMBER", "number"},
    {"AT", "at"},
    {"CALLER", "caller"},
    {"ACTION", "action"},
    {"KIND", "object_kind"},
    {"OBJECT", "object"},
    {"OUTCOME", "outcome"},
    {"POSITION", "pos"},
    {"DETAIL", "detail"},
};

int
cmd_audit(struct ctl *ctl)
{
	json_t *o, *next;
	int code = ctl_call(ctl, "GET", NULL, "/v1/audit?after=%llu&limit=%llu",
	    (unsigned long long)ctl->args.after,
	    (unsigned long long)ctl->args.limit);

	if (code != 0)
		return code;
	if (ctl->args.json)
		return ctl_print_json(ctl);
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	(void)table_print(columns, sizeof(columns) / sizeof(columns[0]),
	    json_object_get(o, "audit"));
	next = json_object_get(o, "next");
	if (json_is_integer(next))
		fprintf(stderr, "authctl: there are more: --after %lld\n",
		    (long long)json_integer_value(next));
	json_decref(o);
	return EXIT_DONE;
}

const struct opt audit_options[] = {
    {"after", 0, OPT_NUMBER, "N", "rows with a higher number",
	offsetof(struct args, after), NUMBER_MAX, "0"},
    {"limit", 0, OPT_NUMBER, "N", "rows at most, up to 1000",
	offsetof(struct args, limit), 1000, "100"},
    OPTIONS_END,
};
