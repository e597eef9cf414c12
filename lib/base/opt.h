#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"

/*
 * One table for a program's options: configuration file, environment and
 * command line (getopt_long), the later over the earlier. A file has lines
 * "name = value", '#' starts a comment; an unknown name is an error. The
 * environment variable of option "max-body" of prefix FEALTY is
 * FEALTY_MAX_BODY. Options marked secret-bearing hold *paths*, never keys.
 */
enum opt_type { OPT_FLAG, OPT_STRING, OPT_NUMBER, OPT_DURATION };

struct opt {
	const char *name;	/* long name, dashes */
	char letter;		/* short one, or 0 */
	enum opt_type type;
	const char *arg;	/* name of the argument in the help */
	const char *help;	/* one line */
	size_t offset;		/* of the member in the target struct: int,
				   const char *, uint64_t, uint64_t (ms) */
	uint64_t max;		/* of a number or a duration (ms);
				   0: no limit */
	const char *fallback;	/* default as text, or NULL */
};
/*
 * Fills *target from defaults, then (when the table has an option "config"
 * and it is given) the file, then environment (env_prefix NULL: not read),
 * then argv. Strings point into argv, the environment or memory that lives
 * as long as the process. *rest is the index of the first other argument;
 * options may stand before and after those (argv is permuted), up to "--".
 * "help" and "version" are flags like others, but of argv only. An empty
 * environment variable counts as unset. Not thread safe (getopt).
 * ERR_CONFIG with d saying what and where; the caller prints and exits 2.
 */
enum err opt_parse(const struct opt *table, size_t n, const char *env_prefix,
    int argc, char **argv, void *target, int *rest,
    struct detail *d) MUST_CHECK;
/* The help text of the table on stdout. */
void opt_help(const struct opt *table, size_t n);

#endif
