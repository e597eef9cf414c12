#include <stdio.h>
#include <string.h>

#include "provision-tool/cmd.h"
#include "provision-tool/target.h"

int
cmd_targets(int argc, char **argv)
{
	const struct target_absent *absent;
	const struct target_ops *ops;
	size_t i;

	if (argc > 1) {
		int help = strcmp(argv[1], "--help") == 0;

		(void)fprintf(help ? stdout : stderr,
			      "usage: provision-tool targets\n");
		return help ? DONE : USAGE;
	}
	for (i = 0; (ops = target_kind(i)) != NULL; i++)
		(void)printf("%s:%s\n    %s\n", ops->kind, ops->rest,
			     ops->about);
	for (i = 0; (absent = target_absent(i)) != NULL; i++)
		(void)printf("%s:\n    not in this build, which found no "
			     "%s\n", absent->kind, absent->library);
	return DONE;
}
