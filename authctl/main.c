#include <config.h>

#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"

#define ANSWER_MAX (4u << 20)
#define NAME_WIDTH 36 /* of the help's first column */

static const struct command commands[] = {
    {"order", NULL, "production orders", 0, NULL, NULL, order_commands},
    {"manifest", NULL, "what has been made of an order, signed", 0, NULL, NULL,
	manifest_commands},
    {"audience", NULL, "gateways' names and where they listen", 0, NULL, NULL,
	audience_commands},
    {"caller", NULL, "stations, gateways, admins and their credentials", 0,
	NULL, NULL, caller_commands},
    {"group", NULL, "sets of devices addressed as one", 0, NULL, NULL,
	group_commands},
    {"device", NULL, "find, suspend and reinstate devices", 0, NULL, NULL,
	device_commands},
    {"revoke", "device:ID|group:N|tenant|token:JTI|caller:NAME|key:KID",
	"take out of service, after saying how much is hit", 1, cmd_revoke,
	revoke_options, NULL},
    {"receipts", "POSITION", "which gateways enforce a revocation", 1,
	cmd_receipts, receipts_options, NULL},
    {"explain", "TOKEN|PSK-IDENTITY|DEVICE",
	"whose it is and why it is or would be refused", 1, cmd_explain,
	explain_options, NULL},
    {"audit", NULL, "decisions recorded, oldest first", 0, cmd_audit,
	audit_options, NULL},
    {"recover", NULL, "take back events that a restored database lost", 0,
	cmd_recover, recover_options, NULL},
    {"tenant", NULL, "organisations on this authority", 0, NULL, NULL,
	tenant_commands},
    COMMANDS_END,
};

static void
print_line(const char *prefix, const struct command *c)
{
	char name[96];

	snprintf(name, sizeof(name), "%s%s%s%s%s", prefix,
	    *prefix != '\0' ? " " : "", c->name, c->args != NULL ? " " : "",
	    c->args != NULL ? c->args : "");
	if (strlen(name) <= NAME_WIDTH)
		printf("  %-*s %s\n", NAME_WIDTH, name, c->line);
	else
		printf("  %s\n%*s%s\n", name, NAME_WIDTH + 3, "", c->line);
}

/* Bare names, one a line, for completion and its test. */
static int
list_commands(void)
{
	const struct command *c, *s;

	for (c = commands; c->name != NULL; c++) {
		if (c->subs == NULL)
			printf("%s\n", c->name);
		for (s = c->subs; s != NULL && s->name != NULL; s++)
			printf("%s %s\n", c->name, s->name);
	}
	return EXIT_DONE;
}

static void
list_options(const struct opt *opts)
{
	size_t i, n = ctl_count(opts);

	for (i = 0; i < n; i++)
		printf("--%s\n", opts[i].name);
}

static int
list_all_options(void)
{
	const struct command *c, *s;

	list_options(ctl_common_options());
	for (c = commands; c->name != NULL; c++) {
		list_options(c->opts);
		for (s = c->subs; s != NULL && s->name != NULL; s++)
			list_options(s->opts);
	}
	return EXIT_DONE;
}

static int
help_all(void)
{
	const struct command *c, *s;

	printf("usage: authctl COMMAND [ARGUMENT] [--OPTION…]\n"
	       "       authctl help [COMMAND]\n"
	       "       authctl --version\n\n");
	for (c = commands; c->name != NULL; c++) {
		if (c->subs == NULL)
			print_line("", c);
		for (s = c->subs; s != NULL && s->name != NULL; s++)
			print_line(c->name, s);
	}
	printf("\nOptions of every command:\n");
	opt_help(ctl_common_options(), ctl_count(ctl_common_options()));
	printf("\nauthctl help COMMAND shows the options of one.\n"
	       "Exit status: 0 done, 1 refused, 2 usage, 3 try again.\n");
	return EXIT_DONE;
}

static const struct command *
find(const struct command *table, const char *name)
{
	for (; table->name != NULL; table++) {
		if (strcmp(table->name, name) == 0)
			return table;
	}
	return NULL;
}

static void
help_command(const char *prefix, const struct command *c)
{
	const struct command *s;

	if (c->subs != NULL) {
		for (s = c->subs; s->name != NULL; s++)
			help_command(c->name, s);
		return;
	}
	print_line(prefix, c);
	if (ctl_count(c->opts) > 0)
		opt_help(c->opts, ctl_count(c->opts));
}

/* NULL ends the words early. */
static int
help(const char *name, const char *sub)
{
	const struct command *c, *s = NULL;

	if (name == NULL)
		return help_all();
	c = find(commands, name);
	if (c == NULL)
		return ctl_usage("no command %s; see authctl help", name);
	if (c->subs != NULL && sub != NULL) {
		s = find(c->subs, sub);
		if (s == NULL)
			return ctl_usage("no command %s %s; see authctl help "
					 "%s",
			    name, sub, name);
	}
	help_command(s != NULL ? name : "", s != NULL ? s : c);
	return EXIT_DONE;
}

static int
run(const struct command *table_row, const char *prefix, int argc, char **argv)
{
	struct ctl ctl;
	int code;

	memset(&ctl, 0, sizeof(ctl));
	ctl.answer.max = ANSWER_MAX;
	snprintf(ctl.name, sizeof(ctl.name), "%s%s%s", prefix,
	    *prefix != '\0' ? " " : "", table_row->name);
	code = ctl_parse(&ctl, table_row, argc, argv);
	if (code != 0)
		return code;
	if (ctl.args.help) {
		help_command(prefix, table_row);
		return EXIT_DONE;
	}
	/* What only reads files needs no authority. */
	code = table_row->run == cmd_manifest_verify ? 0 : ctl_open(&ctl);
	if (code == 0)
		code = table_row->run(&ctl);
	ctl_close(&ctl);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = ctl_refused("standard output could not be written");
	return code;
}

static int
dispatch(int argc, char **argv)
{
	const struct command *c, *s;

	if (argv[1][0] == '-')
		return ctl_usage("%s: options stand behind the command; see "
				 "authctl help",
		    argv[1]);
	c = find(commands, argv[1]);
	if (c == NULL)
		return ctl_usage("no command %s; see authctl help", argv[1]);
	if (c->subs == NULL)
		return run(c, "", argc - 1, argv + 1);
	if (argc < 3)
		return ctl_usage("%s needs a subcommand; see authctl help %s",
		    c->name, c->name);
	s = find(c->subs, argv[2]);
	if (s == NULL)
		return ctl_usage("no command %s %s; see authctl help %s",
		    c->name, argv[2], c->name);
	return run(s, c->name, argc - 2, argv + 2);
}

int
main(int argc, char **argv)
{
	secret_harden_process();
	wire_init();
	if (argc < 2) {
		(void)ctl_usage("name a command; see authctl help");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0)
		return help(argv[2], argc > 3 ? argv[3] : NULL);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("authctl (Fealty) %s\n", PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--commands") == 0)
		return list_commands();
	if (strcmp(argv[1], "--options") == 0)
		return list_all_options();
	return dispatch(argc, argv);
}
