#ifndef PROVISION_SCRAP_H
#define PROVISION_SCRAP_H

#include "provision-tool/burn.h"

/*
 * Scraps a unit that is not finished: its identity is void, and its place is
 * given back as the order's policy has it. b as for burn_verify, without a
 * target. Noted in the journal, so that a later burn begins anew.
 */
enum err burn_scrap(struct burn *b, const char *device_id, const char *reason)
    MUST_CHECK;

#endif
