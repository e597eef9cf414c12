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
	int code = ctl_call(ctl, "GET", NULL, "/v1/audit?after=%llu&limit=%llu",
	    (unsigned long long)ctl->args.after,
	    (unsigned long long)ctl->args.limit);

	if (code != 0)
		return code;
	return ctl_print_rows(ctl, "audit", columns, N(columns));
}

const struct opt audit_options[] = {
    {"after", 0, OPT_NUMBER, "N", "rows with a higher number",
	offsetof(struct args, after), NUMBER_MAX, "0"},
    {"limit", 0, OPT_NUMBER, "N", "rows at most, up to 1000",
	offsetof(struct args, limit), 1000, "100"},
    OPTIONS_END,
};
