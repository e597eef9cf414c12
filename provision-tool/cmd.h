#ifndef PROVISION_CMD_H
#define PROVISION_CMD_H

#include "lib/base/opt.h"

/* Exit codes of the command lines; GO_ON is none of them. */
enum { GO_ON = -1, DONE = 0, REFUSED = 1, USAGE = 2, TRY_AGAIN = 3 };

/* A command that takes options only, for what is said about them. */
struct cmd {
	const char *name, *synopsis;
	const struct opt *options;
	size_t noptions;
	const char *more; /* behind the help, or NULL */
};
/* What is wrong with the options, in one line; the exit code. */
int cmd_usage(const struct cmd *c, const char *what);
/*
 * The options to opts, help being its flag of that name. GO_ON; else all is
 * said, and it is the exit code.
 */
int cmd_options(const struct cmd *c, int argc, char **argv, void *opts,
		const int *help);

/* One function a subcommand; argv[0] is its name. Returns an exit code. */
int cmd_burn(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_station_key(int argc, char **argv);
int cmd_ticket(int argc, char **argv);
int cmd_ticket_burn(int argc, char **argv); /* burn --ticket */
int cmd_targets(int argc, char **argv);
int cmd_void(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_unseal(int argc, char **argv); /* where p11-kit is */

#endif
