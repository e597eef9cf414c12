#ifndef AUTHCTL_CTL_H
#define AUTHCTL_CTL_H

#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/opt.h"
#include "lib/client/client.h"
#include "lib/wire/wire.h"

/* What every command exits with (docs/man/authctl.1). */
enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_RETRY = 3 };

#define POSITIONALS_MAX 4

/* Everything a command line can say; a command's table fills its part. */
struct args {
	/* connection, also by environment FEALTY_… */
	const char *url;
	const char *credential_file;
	const char *ca_file;
	uint64_t timeout_ms;
	int json;
	int help;
	/* of single commands */
	const char *model, *expires, *stations, *peers;
	const char *serial_pattern, *id_template, *scope;
	const char *reburn, *min_proof, *on_clone;
	const char *role, *audiences, *credential_out;
	const char *enrolment_out, *urls;
	const char *reason, *effect, *expect, *as;
	const char *heartbeat, *keys, *events;
	const char *state, *order, *prefix;
	const char *out, *root_out, *root;
	uint64_t quantity, group, after, limit, wait_ms;
	int derived, retired, rotate_first;
	/* what is no option */
	const char *pos[POSITIONALS_MAX];
	int npos;
};

/* One session with the authority. */
struct ctl {
	char name[32]; /* of the command, with its group: "order create" */
	struct args args;
	struct client *client;
	struct buf answer; /* of the last call */
};

/*
 * A command: either subs (ends with a NULL name) or run. args is the
 * synopsis of what is no option, npos how many of it there must be.
 */
struct command {
	const char *name;
	const char *args;
	const char *line; /* what it does, for the help */
	int npos;
	int (*run)(struct ctl *ctl);
	const struct opt *opts; /* ends with OPTIONS_END; NULL: none */
	const struct command *subs;
};

#define OPTIONS_END                                                            \
	{                                                                      \
		NULL, 0, OPT_FLAG, NULL, NULL, 0, 0, NULL                      \
	}
#define COMMANDS_END                                                           \
	{                                                                      \
		NULL, NULL, NULL, 0, NULL, NULL, NULL                          \
	}

extern const struct command order_commands[];
extern const struct command manifest_commands[];
extern const struct command audience_commands[];
extern const struct command caller_commands[];
extern const struct command group_commands[];
extern const struct command device_commands[];
extern const struct command tenant_commands[];
extern const struct opt revoke_options[];
extern const struct opt receipts_options[];
extern const struct opt explain_options[];
extern const struct opt audit_options[];
extern const struct opt recover_options[];
int cmd_revoke(struct ctl *ctl);
int cmd_receipts(struct ctl *ctl);
int cmd_explain(struct ctl *ctl);
int cmd_audit(struct ctl *ctl);
int cmd_recover(struct ctl *ctl);
int cmd_manifest_verify(struct ctl *ctl);

/* Reads what follows the name (ctl->name). 0 or an exit code, told. */
int ctl_parse(
    struct ctl *ctl, const struct command *cmd, int argc, char **argv);
/* Opens the session that the options name. 0 or an exit code, told. */
int ctl_open(struct ctl *ctl);
void ctl_close(struct ctl *ctl);
size_t ctl_count(const struct opt *opts); /* rows before OPTIONS_END */
/* The options that every command takes. */
const struct opt *ctl_common_options(void);

/*
 * One request; body NULL none, else released here. The answer is in
 * ctl->answer. 0, or the exit code after one line on standard error.
 */
int ctl_call(struct ctl *ctl, const char *method, json_t *body, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
/* The same, but only the error: for a caller that knows what to make of it. */
enum err ctl_try(struct ctl *ctl, const char *method, json_t *body,
    struct problem *why, const char *fmt, ...)
    __attribute__((format(printf, 5, 6))) MUST_CHECK;
/* The answer as an object that the caller releases; NULL: told. */
json_t *ctl_answer(const struct ctl *ctl);
/* Prints the server's JSON as it came. */
int ctl_print_json(const struct ctl *ctl);
/*
 * Prints the answer: its JSON by --json, else as a table what the columns
 * (table.h) show of the object, or of the rows in its member; of a page,
 * where the next one begins.
 */
struct column;
int ctl_print_object(const struct ctl *ctl, const struct column *cols,
    size_t n);
int ctl_print_rows(const struct ctl *ctl, const char *member,
    const struct column *cols, size_t n);

/* One line on standard error; gives the exit code that belongs to it. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int ctl_refused(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int ctl_problem(enum err e, const struct problem *why);

/*
 * Waits at most --wait for all gateways to enforce the event at pos, and says
 * who does. EXIT_DONE, or EXIT_RETRY when not all do; told.
 */
int ctl_receipts(struct ctl *ctl, uint64_t pos);

/* "a,b,c" as an array of texts; an empty one for NULL. */
json_t *ctl_list(const char *s);
/* {"reason": …} or {}. */
json_t *ctl_reason(const struct ctl *ctl);
/*
 * A new credential goes to --credential-out, mode 0600, never over a file
 * that is there; '-' is standard output. ctl_credential_check tells before
 * the request whether that can work.
 */
int ctl_credential_check(const struct ctl *ctl);
int ctl_credential_write(const struct ctl *ctl, const char *credential);
/* The same for any new secret file: path that option says, a line of it. */
int ctl_secret_check(const char *path, const char *option);
int ctl_secret_write(const char *path, const char *text);

#endif
