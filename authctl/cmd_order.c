#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/model/order.h"

#define EXPIRES_MAX_MS (UINT64_C(10) * 366 * 24 * 3600 * 1000)

static const struct column columns[] = {
    {"NAME", "name"},
    {"MODEL", "model"},
    {"QUANTITY", "quantity"},
    {"ISSUED", "issued"},
    {"EXPIRES", "expires_at"},
    {"CLOSED", "closed"},
    {"GROUP", "group"},
    {"STATIONS", "stations"},
};
static const struct column whole[] = {
    {"name", "name"},
    {"model", "model"},
    {"quantity", "quantity"},
    {"issued", "issued"},
    {"expires", "expires_at"},
    {"closed", "closed"},
    {"group", "group"},
    {"model group", "model_group"},
    {"stations", "stations"},
    {"peers", "peers"},
    {"serial pattern", "serial_pattern"},
    {"device_id", "device_id_template"},
    {"scope", "scope"},
    {"policy", "policy"},
    {"derived", "derived"},
    {"created", "created_at"},
};

/* "2027-01-01T00:00:00Z" or a duration from now. */
static int
expiry(const char *s, char out[TIME_TEXT])
{
	uint64_t ms;
	int64_t at;

	if (parse_time(s, &at) != ERR_OK) {
		if (parse_duration_ms(s, EXPIRES_MAX_MS, &ms) != ERR_OK)
			return ctl_usage("--expires %s: neither RFC 3339 nor "
					 "a duration such as 720h",
			    s);
		at = clock_wall_s(&clock_system) + (int64_t)(ms / 1000);
	}
	format_time(at, out);
	return 0;
}

/* "s?" leaves out what was not said, so that authd's defaults hold. */
static json_t *
order_body(const struct args *a, const char *expires)
{
	json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:o, s:o, s:b}", "name",
	    a->pos[0], "model", a->model, "quantity", (json_int_t)a->quantity,
	    "expires_at", expires, "stations", ctl_list(a->stations), "peers",
	    ctl_list(a->peers), "derived", a->derived);
	int bad = 0;

	if (o == NULL)
		return NULL;
	if (a->serial_pattern != NULL)
		bad |= json_object_set_new(
		    o, "serial_pattern", json_string(a->serial_pattern));
	if (a->id_template != NULL)
		bad |= json_object_set_new(
		    o, "device_id_template", json_string(a->id_template));
	if (a->scope != NULL)
		bad |= json_object_set_new(o, "scope", json_string(a->scope));
	bad |= json_object_set_new(o, "policy",
	    json_pack(
		"{s:s, s:s, s:b, s:s}", "reburn", a->reburn, "min_proof",
		a->min_proof, "rotate_on_first_contact", a->rotate_first,
		"possible_clone", a->on_clone));
	if (bad != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int
create(struct ctl *ctl)
{
	char expires[TIME_TEXT];
	int code;

	if (ctl->args.model == NULL || ctl->args.peers == NULL ||
	    ctl->args.quantity == 0 || ctl->args.expires == NULL)
		return ctl_usage("give --model, --quantity, --peers and "
				 "--expires; see authctl help order create");
	code = expiry(ctl->args.expires, expires);
	if (code != 0)
		return code;
	code = ctl_call(
	    ctl, "POST", order_body(&ctl->args, expires), "/v1/orders");
	return code != 0 ? code : ctl_print_object(ctl, whole, N(whole));
}

static int
list(struct ctl *ctl)
{
	int code = ctl_call(ctl, "GET", NULL, "/v1/orders");

	if (code != 0)
		return code;
	return ctl_print_rows(ctl, "orders", columns, N(columns));
}

static int
bad_name(const struct ctl *ctl)
{
	if (name_is_order(ctl->args.pos[0]))
		return 0;
	return ctl_usage("%s is no order name", ctl->args.pos[0]);
}

static int
show(struct ctl *ctl)
{
	int code = bad_name(ctl);

	if (code == 0)
		code = ctl_call(
		    ctl, "GET", NULL, "/v1/orders/%s", ctl->args.pos[0]);
	return code != 0 ? code : ctl_print_object(ctl, whole, N(whole));
}

static int
do_close(struct ctl *ctl)
{
	int code = bad_name(ctl);

	if (code == 0)
		code = ctl_call(ctl, "POST", json_object(),
		    "/v1/orders/%s/close", ctl->args.pos[0]);
	return code != 0 ? code : ctl_print_object(ctl, whole, N(whole));
}

#define O(m) offsetof(struct args, m)
static const struct opt create_options[] = {
    {"model", 'm', OPT_STRING, "NAME", "model of the devices", O(model), 0,
	NULL},
    {"quantity", 'n', OPT_NUMBER, "N", "how many identities at most",
	O(quantity), ORDER_QUANTITY_MAX, NULL},
    {"expires", 0, OPT_STRING, "TIME",
	"end of the order, RFC 3339 or a duration such as 720h", O(expires), 0,
	NULL},
    {"peers", 0, OPT_STRING, "LIST", "audiences of the devices, with commas",
	O(peers), 0, NULL},
    {"stations", 0, OPT_STRING, "LIST", "callers that may burn, with commas",
	O(stations), 0, NULL},
    {"serial-pattern", 0, OPT_STRING, "REGEX",
	"what a whole serial number looks like", O(serial_pattern), 0, NULL},
    {"device-id", 0, OPT_STRING, "TEMPLATE",
	"of {serial}, {model}, {order}, {n}, {n:W}", O(id_template), 0, NULL},
    {"scope", 0, OPT_STRING, "LIST", "scope of the devices' tokens", O(scope),
	0, NULL},
    {"reburn", 0, OPT_STRING, "POLICY",
	"never, until-confirmed or new-epoch-with-approval", O(reburn), 0,
	"until-confirmed"},
    {"min-proof", 0, OPT_STRING, "PROOF", "medium, device or device-made",
	O(min_proof), 0, "medium"},
    {"rotate-first", 0, OPT_FLAG, NULL,
	"a device gets nothing before it has rotated the key burned into it",
	O(rotate_first), 0, NULL},
    {"on-clone", 0, OPT_STRING, "POLICY",
	"when a dead key is used: report, or suspend the device too",
	O(on_clone), 0, "report"},
    {"derived", 0, OPT_FLAG, NULL,
	"derive root keys from the model's master key", O(derived), 0, NULL},
    OPTIONS_END,
};
#undef O

const struct command order_commands[] = {
    {"create", "NAME", "open a production order", 1, create, create_options,
	NULL},
    {"list", NULL, "all orders", 0, list, NULL, NULL},
    {"show", "NAME", "one order", 1, show, NULL, NULL},
    {"close", "NAME", "let no station make more of it", 1, do_close, NULL,
	NULL},
    COMMANDS_END,
};
