#ifndef PROVISION_VERIFY_H
#define PROVISION_VERIFY_H

#include "provision-tool/burn.h"

/*
 * Proves a finished unit again: the authority gives a challenge, the device
 * answers it, or the station does from what it reads back, and the authority
 * judges. Neither target nor device, journal nor authority is changed by it.
 * b as for burn_run, with b->journal NULL when device_id is given; else that
 * is what the journal has for the serial number. ERR_OK: b->device is proven
 * as it is now. Otherwise b->step and b->detail say where and why.
 */
enum err burn_verify(struct burn *b, const char *device_id) MUST_CHECK;

#endif
