#include "provision-tool/answer.h"

#include <string.h>

#include <fealty/device_openssl.h>

enum err
answer_compute(const struct secret *record, const char *device_id,
	       uint32_t epoch, const unsigned char challenge[CHALLENGE_LEN],
	       unsigned char answer[32], struct detail *d)
{
	struct fealty_record r;
	enum err e = ERR_RECORD;

	if (fealty_record_read(record->p, record->len, &r) != FEALTY_OK)
		goto out;
	if (r.device_id.len != strlen(device_id) ||
	    memcmp(r.device_id.p, device_id, r.device_id.len) != 0) {
		detail_set(d, "the record is of another identity");
		goto out;
	}
	if (r.epoch != epoch) {
		detail_set(d, "the record is of epoch %u, not %u", r.epoch,
			   epoch);
		goto out;
	}
	e = ERR_CRYPTO;
	if (fealty_proof(&fealty_device_port_openssl, &r, "burn", challenge,
			 CHALLENGE_LEN, answer) == FEALTY_OK)
		e = ERR_OK;
out:
	fealty_wipe(&r, sizeof(r));
	return e;
}
