#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/opt.h"
#include "lib/base/parse.h"
#include "lib/wire/summary.h"
#include "provision-tool/cmd.h"
#include "provision-tool/report.h"
#include "provision-tool/stats.h"
#include "provision-tool/tell.h"

#define ANSWER_ROOM ((size_t)64 << 10)

struct report_opts {
	int help, json;
	struct station st;
};

#define AT(member) offsetof(struct report_opts, member)
static const struct opt options[] = {
    STATION_WAY(report_opts),
    {"json", 0, OPT_FLAG, NULL, "print it as JSON", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "report",
    .synopsis = "--order ORDER",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
};

/* What the authority says of the order. */
struct said {
	struct order order;
	struct order_summary sum;
};

static enum err
ask(const struct station *st, struct said *out, struct detail *d)
{
	struct buf answer = {.max = ANSWER_ROOM};
	struct client *client = NULL;
	const char *step;
	char path[192];
	enum err e;

	(void)snprintf(path, sizeof(path), "/v1/orders/%s/summary", st->order);
	e = station_client(st, 0, &client, &step, d);
	if (e == ERR_OK)
		e = station_order(st, client, &out->order, d);
	if (e == ERR_OK)
		e = station_get(client, path, &answer, d);
	if (e == ERR_OK)
		e = wire_summary_decode(answer.p, answer.len, &out->sum, d);
	client_free(&client);
	buf_free(&answer);
	return e;
}

static double
percent(uint64_t n, uint64_t of)
{
	return of == 0 ? 0.0 : 100.0 * (double)n / (double)of;
}

/* Reasons are what somebody typed: they must not steer the terminal. */
static void
print_voids(const struct order_summary *s)
{
	const char *p;
	size_t i;

	if (s->nvoids > 0)
		(void)printf("%-8s %s\n", "VOID", "BECAUSE");
	for (i = 0; i < s->nvoids; i++) {
		(void)printf("%-8llu ", (unsigned long long)s->voids[i].units);
		for (p = s->voids[i].reason; *p != '\0'; p++)
			(void)putchar(*p >= ' ' && *p <= '~' ? *p : '?');
		(void)putchar('\n');
	}
}

static void
print_order(const struct said *a, const char *name)
{
	const struct order *o = &a->order;
	const struct order_summary *s = &a->sum;
	char until[TIME_TEXT];
	unsigned i;

	format_time(o->expires_at, until);
	(void)printf("order %s: %u of %u places taken, %u left, %s %s\n", name,
		     o->issued, o->quantity, station_places_left(o),
		     o->closed ? "closed; it ran until" : "until", until);
	(void)printf("its units:");
	for (i = 0; i < DEVICE_STATES; i++)
		if (s->states[i] > 0)
			(void)printf(" %llu %s,",
				     (unsigned long long)s->states[i],
				     device_state_name((enum device_state)i));
	(void)printf(" %llu unproven until they authenticate\n",
		     (unsigned long long)s->unproven);
	print_voids(s);
}

static void
print_text(const struct report *r)
{
	unsigned i;

	(void)printf("this station: %llu units begun, %llu done (%.1f %%), "
		     "%llu at the first try (%.1f %%), %llu not done\n",
		     (unsigned long long)r->begun, (unsigned long long)r->done,
		     percent(r->done, r->begun), (unsigned long long)r->first,
		     percent(r->first, r->begun),
		     (unsigned long long)(r->begun - r->done));
	if (r->nsteps > 0)
		(void)printf("%-12s %8s %10s %10s\n", "STEP", "TIMES",
			     "MEDIAN ms", "P95 ms");
	for (i = 0; i < r->nsteps; i++)
		(void)printf("%-12s %8zu %10u %10u\n", r->steps[i].name,
			     r->steps[i].n,
			     report_percentile(&r->steps[i], 50),
			     report_percentile(&r->steps[i], 95));
	if (r->ncauses > 0)
		(void)printf("%-12s %-28s %8s\n", "FAILED AT", "CAUSE",
			     "TRIES");
	for (i = 0; i < r->ncauses; i++)
		(void)printf("%-12s %-28s %8llu\n", r->causes[i].step,
			     r->causes[i].code,
			     (unsigned long long)r->causes[i].n);
	if (r->other > 0)
		(void)printf("%-12s %-28s %8llu\n", "", "others",
			     (unsigned long long)r->other);
}

static json_t *
steps_json(const struct report *r)
{
	json_t *a = json_array();
	unsigned i;

	for (i = 0; i < r->nsteps; i++)
		(void)json_array_append_new(a, json_pack(
		    "{s:s,s:I,s:I,s:I}", "step", r->steps[i].name, "times",
		    (json_int_t)r->steps[i].n, "median_ms",
		    (json_int_t)report_percentile(&r->steps[i], 50), "p95_ms",
		    (json_int_t)report_percentile(&r->steps[i], 95)));
	return a;
}

static json_t *
causes_json(const struct report *r)
{
	json_t *a = json_array();
	unsigned i;

	for (i = 0; i < r->ncauses; i++)
		(void)json_array_append_new(a, json_pack("{s:s,s:s,s:I}",
		    "step", r->causes[i].step, "code", r->causes[i].code,
		    "tries", (json_int_t)r->causes[i].n));
	return a;
}

static enum err
print_json(const struct report *r, const struct said *a, const char *name)
{
	struct buf b = {.max = ANSWER_ROOM};
	const struct order *o = &a->order;
	enum err e;

	e = jout(json_pack(
		"{s:s,s:I,s:I,s:I,s:b,s:o,s:o,s:I,s:I,s:I,s:I,s:o,s:o}",
		"order", name, "quantity", (json_int_t)o->quantity, "issued",
		(json_int_t)o->issued, "left",
		(json_int_t)station_places_left(o), "closed", o->closed,
		"expires_at", jout_time(o->expires_at), "units",
		wire_summary_json(&a->sum), "begun",
		(json_int_t)r->begun, "done", (json_int_t)r->done,
		"first_try", (json_int_t)r->first, "other_failures",
		(json_int_t)r->other, "steps", steps_json(r), "failures",
		causes_json(r)), &b);
	if (e == ERR_OK)
		(void)printf("%s\n", b.p);
	buf_free(&b);
	return e;
}

static enum err
run(const struct report_opts *o, struct detail *d)
{
	struct report r = {.nsteps = 0};
	struct said said = {.order = {.quantity = 0}};
	char path[PATH_MAX];
	enum err e;

	e = stats_path(&o->st, path, sizeof(path), d);
	if (e == ERR_OK)
		e = ask(&o->st, &said, d);
	if (e == ERR_OK)
		e = report_read(path, &r);
	if (e == ERR_OK) {
		report_finish(&r);
		if (o->json) {
			e = print_json(&r, &said, o->st.order);
		} else {
			print_order(&said, o->st.order);
			print_text(&r);
		}
	}
	report_free(&r);
	return e;
}

int
cmd_report(int argc, char **argv)
{
	struct report_opts o = {0};
	struct detail d = {""};
	enum err e;
	int code;

	if ((code = cmd_options(&self, argc, argv, &o, &o.help)) != GO_ON)
		return code;
	if (station_fault(&o.st) != NULL)
		return cmd_usage(&self, station_fault(&o.st));
	e = run(&o, &d);
	if (e != ERR_OK)
		tell_options(NULL, "report", e, &d);
	return tell_exit(e);
}
