#include <stdio.h>
#include "authctl/ctl.h"
#include "authctl/table.h"
#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/model/receipt.h"

/* Who enforces a revocation, by the gateways' own word (docs/feed.md). */

static uint64_t
number(json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));

	return n < 0 ? 0 : (uint64_t)n;
}

static const char *
duration(double s, char out[32])
{
	if (s < 1)
		(void)snprintf(out, 32, "%.0f ms", s * 1000);
	else if (s < 120)
		(void)snprintf(out, 32, "%.0f s", s);
	else if (s < 7200)
		(void)snprintf(out, 32, "%.0f minutes", s / 60);
	else
		(void)snprintf(out, 32, "%.0f hours", s / 3600);
	return out;
}

static void
print_laggards(json_t *lagging)
{
	const char *name;
	char text[32];
	json_t *l, *heard;
	size_t i;

	json_array_foreach(lagging, i, l) {
		heard = json_object_get(l, "heard_s");
		name = json_string_value(json_object_get(l, "gateway"));
		/* Text from the network must not steer the terminal. */
		printf("lagging: %s, ",
		    name != NULL && name_is_order(name) ? name : "?");
		if (json_is_number(heard))
			printf("last heard %s ago\n",
			    duration(json_number_value(heard), text));
		else
			printf("never heard\n");
	}
}

/* What it comes to; EXIT_DONE or EXIT_RETRY. */
static int
summary(json_t *o)
{
	uint64_t expected = number(o, "expected");
	uint64_t enforced = number(o, "enforced");
	double ms = json_number_value(json_object_get(o, "slowest_ms"));
	char text[32];

	if (expected == 0) {
		printf("no gateway is enrolled for it: tokens live on for up "
		       "to %s\n",
		    duration((double)number(o, "token_life"), text));
		return EXIT_RETRY;
	}
	printf("enforced at %llu of %llu gateways",
	    (unsigned long long)enforced, (unsigned long long)expected);
	if (enforced > 0)
		printf(ms < 10 ? ", slowest %.1f ms" : ", slowest %.0f ms",
		    ms);
	printf("\n");
	if (enforced >= expected)
		return EXIT_DONE;
	print_laggards(json_object_get(o, "lagging"));
	return EXIT_RETRY;
}

static int
is_complete(json_t *o)
{
	return number(o, "enforced") >= number(o, "expected");
}

/* Asks until all do or the time is over; the last answer, or NULL: *code. */
static json_t *
ask(struct ctl *ctl, uint64_t pos, int *code)
{
	int64_t end = clock_mono_ms(&clock_system) +
	    (int64_t)ctl->args.wait_ms, left;
	json_t *o;

	for (;;) {
		left = end - clock_mono_ms(&clock_system);
		left = left <= 0 ? 0 : (left + 999) / 1000;
		if (left > RECEIPT_WAIT_MAX)
			left = RECEIPT_WAIT_MAX;
		*code = ctl_call(ctl, "GET", NULL,
		    "/v1/revocations/%llu/receipts?wait=%lld",
		    (unsigned long long)pos, (long long)left);
		if (*code != 0)
			return NULL;
		o = ctl_answer(ctl);
		*code = EXIT_REFUSED;
		if (o == NULL || left == 0 || is_complete(o))
			return o;
		json_decref(o);
	}
}

static int
show(struct ctl *ctl, uint64_t pos, int with_table)
{
	static const struct column columns[] = {
	    {"GATEWAY", "gateway"},
	    {"INSTANCE", "instance"},
	    {"ENFORCED", "enforced"},
	    {"CLOSED", "closed"},
	    {"MS", "ms"},
	    {"AT", "at"},
	};
	json_t *o;
	int code;

	o = ask(ctl, pos, &code);
	if (o == NULL)
		return code;
	if (ctl->args.json) {
		code = ctl_print_json(ctl);
		if (code == EXIT_DONE &&
		    (!is_complete(o) || number(o, "expected") == 0))
			code = EXIT_RETRY;
	} else {
		if (with_table && number(o, "expected") > 0)
			(void)table_print(columns,
			    sizeof(columns) / sizeof(columns[0]),
			    json_object_get(o, "receipts"));
		code = summary(o);
	}
	json_decref(o);
	return code;
}

int
ctl_receipts(struct ctl *ctl, uint64_t pos)
{
	return show(ctl, pos, 0);
}

int
cmd_receipts(struct ctl *ctl)
{
	uint64_t pos;

	if (parse_u64(ctl->args.pos[0], NUMBER_MAX, &pos) != ERR_OK)
		return ctl_usage("%s is no position", ctl->args.pos[0]);
	return show(ctl, pos, 1);
}

#define O(m) offsetof(struct args, m)
const struct opt receipts_options[] = {
    {"wait", 'w', OPT_DURATION, "TIME",
	"how long to wait until all gateways say that they enforce it",
	O(wait_ms), 600000, NULL},
    OPTIONS_END,
};
