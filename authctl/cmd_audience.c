#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

static const struct column columns[] = {
    {"NAME", "name"},
    {"HOST", "host"},
    {"PORT", "port"},
    {"RETIRED", "retired"},
};

/* "host:port", "[v6]:port"; host without brackets. */
static int
split_endpoint(const char *s, char host[254], uint64_t *port)
{
	const char *colon = strrchr(s, ':');
	size_t len;

	if (colon == NULL || parse_u64(colon + 1, 65535, port) != ERR_OK ||
	    *port == 0)
		return -1;
	len = (size_t)(colon - s);
	if (len >= 2 && s[0] == '[' && colon[-1] == ']') {
		s++;
		len -= 2;
	}
	if (len == 0 || len > 253)
		return -1;
	memcpy(host, s, len);
	host[len] = '\0';
	return name_is_host(host) ? 0 : -1;
}

static int
set(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	char host[254];
	uint64_t port;
	int code;

	if (!name_is_audience(a->pos[0]))
		return ctl_usage("%s is no audience name", a->pos[0]);
	if (split_endpoint(a->pos[1], host, &port) != 0)
		return ctl_usage("%s is no HOST:PORT", a->pos[1]);
	code = ctl_call(ctl, "PUT",
	    json_pack("{s:s, s:I, s:b}", "host", host, "port", (json_int_t)port,
		"retired", a->retired),
	    "/v1/audiences/%s", a->pos[0]);
	if (code != 0)
		return code;
	return ctl_print_object(ctl, columns, N(columns));
}

static int
list(struct ctl *ctl)
{
	int code = ctl_call(ctl, "GET", NULL, "/v1/audiences");

	if (code != 0)
		return code;
	return ctl_print_rows(ctl, "audiences", columns, N(columns));
}

static const struct opt set_options[] = {
    {"retired", 0, OPT_FLAG, NULL, "no PSK resolves for it any more",
	offsetof(struct args, retired), 0, NULL},
    OPTIONS_END,
};

const struct command audience_commands[] = {
    {"set", "NAME HOST:PORT", "name a gateway and where it listens", 2, set,
	set_options, NULL},
    {"list", NULL, "all audiences", 0, list, NULL, NULL},
    COMMANDS_END,
};
