#include "provision-tool/cmd.h"

#include <stdio.h>

int
cmd_usage(const struct cmd *c, const char *what)
{
	(void)fprintf(stderr,
		      "provision-tool: %s; see provision-tool %s --help\n",
		      what, c->name);
	return USAGE;
}

int
cmd_options(const struct cmd *c, int argc, char **argv, void *opts,
	    const int *help)
{
	struct detail d = {""};
	int rest;

	if (opt_parse(c->options, c->noptions, "FEALTY", argc, argv, opts,
		      &rest, &d) != ERR_OK)
		return cmd_usage(c, d.text);
	if (*help) {
		(void)printf("usage: provision-tool %s %s [OPTION]...\n\n",
			     c->name, c->synopsis);
		opt_help(c->options, c->noptions);
		if (c->more != NULL)
			(void)printf("\n%s\n", c->more);
		return DONE;
	}
	return rest < argc ? cmd_usage(c, "options only are taken") : GO_ON;
}
