#include <stdio.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/model/device.h"

static const struct column columns[] = {
    {"DEVICE", "device_id"},
    {"NUMBER", "number"},
    {"STATE", "state"},
    {"PROOF", "proof"},
    {"UNPROVEN", "unproven"},
    {"EPOCH", "epoch"},
    {"SERIAL", "serial"},
    {"ORDER", "order"},
    {"MODEL", "model"},
    {"GROUPS", "groups"},
    {"CHANGED", "changed_at"},
};
static const struct column whole[] = {
    {"device", "device_id"},
    {"number", "number"},
    {"state", "state"},
    {"proof", "proof"},
    {"unproven", "unproven"},
    {"epoch", "epoch"},
    {"pending epoch", "pending_epoch"},
    {"possible clone", "possible_clone"},
    {"serial", "serial"},
    {"order", "order"},
    {"model", "model"},
    {"groups", "groups"},
    {"created", "created_at"},
    {"changed", "changed_at"},
    {"position", "pos"},
};

static int
print_device(struct ctl *ctl)
{
	json_t *o;
	size_t n = N(whole);

	if (ctl->args.json)
		return ctl_print_json(ctl);
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	if (json_object_get(o, "pos") == NULL)
		n--;
	(void)table_object(whole, n, o);
	json_decref(o);
	return EXIT_DONE;
}

/* The filters as a query; each checked, so that none needs escaping. */
static enum err
query(const struct args *a, struct buf *q)
{
	const struct {
		const char *name, *value;
	} texts[] = {{"state", a->state}, {"order", a->order},
	    {"model", a->model}, {"prefix", a->prefix}};
	enum err e;
	size_t i;

	e = buf_fmt(q, "?limit=%llu&after=%llu", (unsigned long long)a->limit,
	    (unsigned long long)a->after);
	if (e == ERR_OK && a->group != 0)
		e = buf_fmt(q, "&group=%llu", (unsigned long long)a->group);
	for (i = 0; i < N(texts) && e == ERR_OK; i++) {
		if (texts[i].value == NULL)
			continue;
		if (!name_is_device_id(texts[i].value))
			return ERR_NAME;
		e = buf_fmt(q, "&%s=%s", texts[i].name, texts[i].value);
	}
	return e;
}

static int
list(struct ctl *ctl)
{
	struct buf q = {.max = 1000};
	enum err e = query(&ctl->args, &q);
	int code;

	if (e != ERR_OK)
		code = ctl_usage("a filter is no name: %s", err_text(e));
	else
		code = ctl_call(ctl, "GET", NULL, "/v1/devices%s", q.p);
	buf_free(&q);
	if (code != 0)
		return code;
	return ctl_print_rows(ctl, "devices", columns, N(columns));
}

static int
one(struct ctl *ctl, const char *method, json_t *body, const char *verb)
{
	int code;

	if (!name_is_device_id(ctl->args.pos[0])) {
		json_decref(body);
		return ctl_usage("%s is no device_id", ctl->args.pos[0]);
	}
	code = ctl_call(
	    ctl, method, body, "/v1/devices/%s%s", ctl->args.pos[0], verb);
	return code != 0 ? code : print_device(ctl);
}

static int
show(struct ctl *ctl)
{
	return one(ctl, "GET", NULL, "");
}

static int
suspend(struct ctl *ctl)
{
	return one(ctl, "POST", ctl_reason(ctl), "/suspend");
}

static int
reinstate(struct ctl *ctl)
{
	return one(ctl, "POST", ctl_reason(ctl), "/reinstate");
}

static int
approve(struct ctl *ctl)
{
	if (ctl->args.reason == NULL || ctl->args.reason[0] == '\0')
		return ctl_usage("give --reason TEXT: it is audited");
	return one(ctl, "POST", ctl_reason(ctl), "/approve");
}

#define O(m) offsetof(struct args, m)
static const struct opt list_options[] = {
    {"state", 's', OPT_STRING, "STATE", "only devices in this state", O(state),
	0, NULL},
    {"order", 0, OPT_STRING, "NAME", "only devices of this order", O(order), 0,
	NULL},
    {"model", 'm', OPT_STRING, "NAME", "only devices of this model", O(model),
	0, NULL},
    {"group", 'g', OPT_NUMBER, "N", "only devices of this group", O(group),
	UINT32_MAX, NULL},
    {"prefix", 0, OPT_STRING, "TEXT", "only device_ids that start with it",
	O(prefix), 0, NULL},
    {"after", 0, OPT_NUMBER, "N", "devices with a higher number", O(after),
	NUMBER_MAX, "0"},
    {"limit", 0, OPT_NUMBER, "N", "rows at most, up to 1000", O(limit), 1000,
	"100"},
    OPTIONS_END,
};
static const struct opt reason_options[] = {
    {"reason", 0, OPT_STRING, "TEXT", "why, for the audit log", O(reason), 0,
	NULL},
    OPTIONS_END,
};
#undef O

const struct command device_commands[] = {
    {"list", NULL, "devices, by filters", 0, list, list_options, NULL},
    {"show", "DEVICE", "one device", 1, show, NULL, NULL},
    {"suspend", "DEVICE", "block it until it is reinstated", 1, suspend,
	reason_options, NULL},
    {"reinstate", "DEVICE", "lift its suspension", 1, reinstate, reason_options,
	NULL},
    {"approve", "DEVICE", "let a unit that came back be burned again", 1,
	approve, reason_options, NULL},
    COMMANDS_END,
};
