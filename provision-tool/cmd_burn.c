#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/opt.h"
#include "provision-tool/burn.h"
#include "provision-tool/cmd.h"
#include "provision-tool/stats.h"
#include "provision-tool/tell.h"
#include "provision-tool/unit.h"

struct burn_opts {
	int help, json;
	const char *serial;
	struct station st;
	struct label label;
};

#define AT(member) offsetof(struct burn_opts, member)
static const struct opt options[] = {
    STATION_OPTIONS(burn_opts),
    {"serial", 's', OPT_STRING, "SERIAL", "serial number, as scanned",
     AT(serial), 0, NULL},
    LABEL_OPTIONS(burn_opts),
    {"json", 0, OPT_FLAG, NULL, "print the result as JSON", AT(json), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "burn",
    .synopsis = "--order ORDER --serial SERIAL --target KIND:WHERE",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
    .more = "Without network: provision-tool burn --ticket FILE --help",
};

static int
check_opts(const struct burn_opts *o)
{
	const char *fault = station_fault(&o->st);

	if (o->serial == NULL)
		fault = "missing option --serial";
	else if (o->st.target == NULL)
		fault = "missing option --target";
	else
		fault = fault != NULL ? fault :
			label_fault(&o->label, o->st.target);
	return fault == NULL ? DONE : cmd_usage(&self, fault);
}

/* Everything the burn stands on; *step names what could not be opened. */
static int
tell(const struct burn_opts *o, const struct burn *b, enum err e)
{
	struct told t = {.serial = o->serial, .step = b->step, .e = e,
			 .detail = &b->detail, .device = &b->device,
			 .target = target_name(b->target),
			 .resumed = b->resumed};

	if (e != ERR_OK)
		tell_failure(&t);
	else
		(void)(o->json ? tell_json(&t) : tell_burned(&t));
	return tell_exit(e);
}

/* With a ticket it is another command: it asks nobody, and needs nobody. */
static int
has_ticket(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--ticket") == 0 ||
		    strncmp(argv[i], "--ticket=", 9) == 0)
			return 1;
	return 0;
}

int
cmd_burn(int argc, char **argv)
{
	struct burn_opts o = {0};
	struct burn b = {0};
	enum err e;
	int code;

	if (has_ticket(argc, argv))
		return cmd_ticket_burn(argc, argv);
	if ((code = cmd_options(&self, argc, argv, &o, &o.help)) != GO_ON)
		return code;
	if ((code = check_opts(&o)) != DONE ||
	    (code = tell_serial(o.serial)) != DONE)
		return code;
	if ((code = unit_open(&o.st, o.serial, 1, &b)) != GO_ON)
		goto out;
	e = burn_run(&b);
	stats_note(&o.st, &b, e);
	if (e == ERR_OK) {
		b.step = "label";
		e = label_write(&o.label, target_name(b.target), &b.device,
				&b.detail);
	}
	code = tell(&o, &b, e);
out:
	unit_close(&b);
	return code;
}
