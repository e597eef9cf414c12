#ifndef PROVISION_ANSWER_H
#define PROVISION_ANSWER_H

#include "lib/base/secret.h"
#include "lib/model/device.h"

/*
 * The answer that the device with this record gives to a challenge, by the
 * very code it runs. ERR_RECORD with d: it is no record, or of another
 * identity. ERR_CRYPTO.
 */
enum err answer_compute(const struct secret *record, const char *device_id,
			uint32_t epoch,
			const unsigned char challenge[CHALLENGE_LEN],
			unsigned char answer[32], struct detail *d) MUST_CHECK;

#endif
