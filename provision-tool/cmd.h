#ifndef PROVISION_CMD_H
#define PROVISION_CMD_H

/* Exit codes of the command lines. */
enum { DONE = 0, REFUSED = 1, USAGE = 2, TRY_AGAIN = 3 };

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
