#include <stdio.h>
#include <string.h>

#include "config.h"
#include "lib/base/secret.h"
#include "lib/wire/wire.h"
#include "provision-tool/cmd.h"

static const struct {
	const char *name;
	int (*run)(int, char **);
	const char *help;
} commands[] = {
    {"burn", cmd_burn, "give a unit its identity"},
    {"run", cmd_run, "the same for many units side by side"},
    {"check", cmd_check, "before a shift: is everything there"},
    {"report", cmd_report, "how an order goes at this station"},
    {"verify", cmd_verify, "prove a finished unit again"},
    {"void", cmd_void, "scrap a unit that is not finished"},
    {"show", cmd_show, "print an identity record without its key"},
    {"station-key", cmd_station_key, "make the key that tickets are encrypted to"},
    {"ticket", cmd_ticket, "identities for burns without network: pull, push, show"},
    {"targets", cmd_targets, "list what an identity can be burned into"},
#ifdef HAVE_P11
    {"unseal", cmd_unseal, "on a device: the record out of its token"},
#endif
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
help(FILE *f)
{
	size_t i;

	(void)fprintf(f, "usage: provision-tool COMMAND [OPTION]...\n\n");
	for (i = 0; i < NCOMMANDS; i++)
		(void)fprintf(f, "  %-11s %s\n", commands[i].name,
			      commands[i].help);
	(void)fprintf(f, "\nprovision-tool COMMAND --help says more.\n");
}

int
main(int argc, char **argv)
{
	size_t i;

	secret_harden_process();
	wire_init();
	if (argc < 2) {
		help(stderr);
		return USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		help(stdout);
		return DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("provision-tool (Fealty) %s\n", PACKAGE_VERSION);
		return DONE;
	}
	for (i = 0; i < NCOMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	(void)fprintf(stderr, "provision-tool: no command %s; "
			      "see provision-tool --help\n", argv[1]);
	return USAGE;
}
