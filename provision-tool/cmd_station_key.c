#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/opt.h"
#include "provision-tool/cmd.h"
#include "provision-tool/station_key.h"

struct key_opts {
	int help;
};

static const struct opt options[] = {
    {"help", 'h', OPT_FLAG, NULL, "this text", offsetof(struct key_opts, help),
     0, NULL},
};
#define NOPTIONS (sizeof(options) / sizeof(options[0]))

int
cmd_station_key(int argc, char **argv)
{
	struct signer *key = NULL;
	struct key_opts o = {0};
	struct detail d = {""};
	enum err e;
	int rest;

	if (opt_parse(options, NOPTIONS, NULL, argc, argv, &o, &rest, &d) !=
		ERR_OK ||
	    o.help || argc - rest != 1) {
		(void)fprintf(o.help ? stdout : stderr,
			      "usage: provision-tool station-key FILE\n");
		return o.help ? DONE : USAGE;
	}
	e = station_key_make(argv[rest], &key);
	if (e == ERR_OK) {
		(void)printf("station key %s in %s\n", signer_kid(key),
			     argv[rest]);
		signer_free(&key);
		return DONE;
	}
	(void)fprintf(stderr, "provision-tool: %s: %s (%s)\n", argv[rest],
		      e == ERR_EXISTS ? "there is such a file; it is left alone"
		      : e == ERR_IO   ? strerror(errno)
				      : err_text(e),
		      err_code(e));
	return REFUSED;
}
