#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/base/opt.h"
#include "provision-tool/cmd.h"
#include "provision-tool/line.h"

struct run_opts {
	int help, json, again;
	uint64_t slots, wait_ms;
	const char *serials;
	struct station st;
	struct label label;
};

#define AT(member) offsetof(struct run_opts, member)
static const struct opt options[] = {
    STATION_OPTIONS(run_opts),
    {"serials", 's', OPT_STRING, "FILE",
     "serial numbers, one a line; - is standard input", AT(serials), 0, NULL},
    {"slots", 'n', OPT_NUMBER, "N", "units side by side", AT(slots),
     LINE_SLOTS_MAX, "1"},
    {"wait", 'w', OPT_DURATION, "T", "for passing trouble, a unit",
     AT(wait_ms), 86400000, "1m"},
    {"again", 0, OPT_FLAG, NULL, "look also at what the journal says is done",
     AT(again), 0, NULL},
    LABEL_OPTIONS(run_opts),
    {"json", 0, OPT_FLAG, NULL, "one line of JSON a unit", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "run",
    .synopsis = "--order ORDER --serials FILE --slots N "
		"--target KIND:WHERE",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
};

static const char *
fault(const struct run_opts *o)
{
	const char *text = station_fault(&o->st);

	if (text != NULL)
		return text;
	if (o->serials == NULL)
		return "missing option --serials";
	if (o->st.target == NULL)
		return "missing option --target";
	if (o->slots == 0)
		return "there is at least one slot";
	return label_fault(&o->label, o->st.target);
}

int
cmd_run(int argc, char **argv)
{
	struct run_opts o = {0};
	struct line_conf conf = {.st = &o.st};
	struct detail d = {""};
	struct feed *feed = NULL;
	char room[PATH_MAX];
	int code;

	if ((code = cmd_options(&self, argc, argv, &o, &o.help)) != GO_ON)
		return code;
	if (fault(&o) != NULL)
		return cmd_usage(&self, fault(&o));
	/* once for all, as it is asked for with every unit */
	o.st.journal = station_folder(&o.st, room, sizeof(room), &d);
	if (o.st.journal == NULL)
		return cmd_usage(&self, d.text);
	if (feed_open(o.serials, &feed, &d) != ERR_OK) {
		(void)fprintf(stderr, "provision-tool: serial numbers: %s\n",
			      d.text[0] == '\0' ? "out of memory" : d.text);
		return USAGE;
	}
	conf.slots = (unsigned)o.slots;
	conf.json = o.json;
	conf.again = o.again;
	conf.label = &o.label;
	conf.wait_ms = o.wait_ms;
	code = line_run(&conf, feed);
	feed_close(&feed);
	return code;
}
