#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"
#include "lib/base/file.h"
#include "lib/base/parse.h"
#include "lib/model/names.h"

/* What the route takes in one body (docs/api.yaml). */
#define RUNS_SHOWN 64 /* in one answer */
#define FILE_MAX_OCTETS ((size_t)1000 << 10)

static int
read_file(const char *path, const char *option, struct buf *out)
{
	enum err e;

	if (path == NULL)
		return ctl_usage("--%s FILE is needed", option);
	e = file_read(path, FILE_MAX_OCTETS, out);
	if (e == ERR_TOO_LARGE)
		return ctl_refused("%s: more than %zu octets", path,
		    FILE_MAX_OCTETS);
	return e == ERR_OK ? 0 : ctl_refused("%s cannot be read", path);
}

/* Each line a text; empty ones are passed over. */
static json_t *
lines(char *text)
{
	json_t *a = json_array();
	char *save = NULL, *line;

	for (line = strtok_r(text, "\r\n", &save); a != NULL && line != NULL;
	    line = strtok_r(NULL, "\r\n", &save)) {
		if (json_array_append_new(a, json_string(line)) != 0) {
			json_decref(a);
			a = NULL;
		}
	}
	return a;
}

static int
report(struct ctl *ctl)
{
	json_t *o;

	if (ctl->args.json)
		return ctl_print_json(ctl);
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	printf("recovered: %lld events taken back, everything cut at position "
	       "%lld\n",
	    (long long)json_integer_value(json_object_get(o, "imported")),
	    (long long)json_integer_value(json_object_get(o, "position")));
	json_decref(o);
	return EXIT_DONE;
}

/* One line, if there is a file; none: text->p stays NULL. */
static int
read_line(const char *path, const char *option, struct buf *text)
{
	int code = path == NULL ? 0 : read_file(path, option, text);

	if (code == 0 && text->p != NULL)
		text->p[strcspn(text->p, "\r\n")] = '\0';
	return code;
}

static uint64_t
number(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

static void
show_runs(FILE *to, const json_t *o)
{
	const json_t *runs = json_object_get(o, "runs"), *run;
	uint64_t events = number(o, "events"), last = number(o, "head");
	size_t i, n = json_array_size(runs);

	fprintf(to, "lost: events up to %llu; the database has them up to "
		    "%llu\n",
	    (unsigned long long)number(o, "lost"), (unsigned long long)last);
	fprintf(to, "held: %llu event%s by %zu gateway%s\n",
	    (unsigned long long)events, events == 1 ? "" : "s",
	    json_array_size(json_object_get(o, "gateways")),
	    json_array_size(json_object_get(o, "gateways")) == 1 ? "" : "s");
	for (i = 0; i < n; i++) {
		run = json_array_get(runs, i);
		if (number(run, "first") > last + 1)
			fprintf(to, "  gap\n");
		last = number(run, "last");
		fprintf(to, "  %llu to %llu\n",
		    (unsigned long long)number(run, "first"),
		    (unsigned long long)last);
	}
	if (n == RUNS_SHOWN)
		fprintf(to, "  more beyond that, not shown\n");
	else if (last < number(o, "lost"))
		fprintf(to, "  gap up to %llu: no gateway has shown these\n",
		    (unsigned long long)number(o, "lost"));
}

static void
show_gateways(FILE *to, const json_t *o)
{
	const json_t *all = json_object_get(o, "gateways"), *g;
	size_t i, n = json_array_size(all);

	for (i = 0; i < n; i++) {
		g = json_array_get(all, i);
		fprintf(to, "gateway %s: %llu to %llu, at %s\n",
		    json_string_value(json_object_get(g, "gateway")),
		    (unsigned long long)number(g, "first"),
		    (unsigned long long)number(g, "last"),
		    json_string_value(json_object_get(g, "at")));
		if (number(g, "conflict") != 0)
			fprintf(to, "  conflict: position %llu is another "
				    "event there than elsewhere\n",
			    (unsigned long long)number(g, "conflict"));
	}
}

/* What gateways have shown: shown first, taken back when it is expected. */
static int
recover_held(struct ctl *ctl)
{
	FILE *to = ctl->args.json ? stderr : stdout;
	uint64_t held, lost, expect = 0;
	json_t *o;
	int code;

	if (ctl->args.expect != NULL &&
	    parse_u64(ctl->args.expect, NUMBER_MAX, &expect) != ERR_OK)
		return ctl_usage("--expect %s is no number", ctl->args.expect);
	code = ctl_call(ctl, "GET", NULL, "/v1/recover/held");
	if (code != 0)
		return code;
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	held = number(o, "events");
	lost = number(o, "lost");
	if (lost != 0) {
		show_runs(to, o);
		show_gateways(to, o);
		fflush(to);
	}
	json_decref(o);
	if (lost == 0)
		return ctl_refused("nothing done: nothing is known to be lost");
	if (ctl->args.expect == NULL || expect != held)
		return ctl_refused("nothing done: repeat with --expect %llu "
				   "to take back what is held",
		    (unsigned long long)held);
	return ctl_call(ctl, "POST",
	    json_pack("{s:b, s:I}", "held", 1, "expect", (json_int_t)held),
	    "/v1/recover");
}

static int
recover_files(struct ctl *ctl)
{
	struct buf beat = {.max = 0}, keys = {.max = 0}, events = {.max = 0};
	json_t *o;
	int code;

	code = read_line(ctl->args.heartbeat, "heartbeat", &beat);
	if (code == 0)
		code = read_line(ctl->args.keys, "keys", &keys);
	if (code == 0)
		code = read_file(ctl->args.events, "events", &events);
	if (code == 0) {
		o = json_pack("{s:s*, s:s*, s:o}", "seen", beat.p, "keys",
		    keys.p, "events",
		    events.p == NULL ? json_array() : lines(events.p));
		code = o == NULL ? ctl_refused("out of memory") :
		    ctl_call(ctl, "POST", o, "/v1/recover");
	}
	buf_free(&beat);
	buf_free(&keys);
	buf_free(&events);
	return code;
}

int
cmd_recover(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	int code;

	if (a->heartbeat != NULL || a->keys != NULL || a->events != NULL) {
		if (a->expect != NULL)
			return ctl_usage("--expect is for what gateways hold, "
					 "not for files");
		code = recover_files(ctl);
	} else {
		code = recover_held(ctl);
	}
	return code == 0 ? report(ctl) : code;
}

#define O(m) offsetof(struct args, m)
const struct opt recover_options[] = {
    {"heartbeat", 0, OPT_STRING, "FILE",
	"the newest signed heartbeat that a gateway holds", O(heartbeat), 0,
	NULL},
    {"keys", 0, OPT_STRING, "FILE",
	"the key set that gateways hold, if a key was revoked since",
	O(keys), 0, NULL},
    {"events", 0, OPT_STRING, "FILE",
	"signed events from a record of the feed, one a line", O(events), 0,
	NULL},
    {"expect", 'e', OPT_STRING, "N",
	"how many events are held by gateways: take these back", O(expect), 0,
	NULL},
    OPTIONS_END,
};
