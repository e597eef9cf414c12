#ifndef PROVISION_UNIT_H
#define PROVISION_UNIT_H

#include "provision-tool/burn.h"
#include "provision-tool/station.h"

/*
 * What a command on one unit opens: the target, if the station has one, the
 * journal, if it is asked for, and the way to the authority. b begins all
 * zero; unit_close always. GO_ON (cmd.h); else all is said, and it is the exit
 * code.
 */
int unit_open(const struct station *st, const char *serial, int journal,
	      struct burn *b);
void unit_close(struct burn *b);

#endif
