#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"
#include "lib/base/file.h"

/* What the route takes in one body (docs/api.yaml). */
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

int
cmd_recover(struct ctl *ctl)
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
	"the signed events that gateways hold, one a line", O(events), 0,
	NULL},
    OPTIONS_END,
};
