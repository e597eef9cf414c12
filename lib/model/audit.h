#ifndef MODEL_AUDIT_H
#define MODEL_AUDIT_H

#include "lib/model/names.h"

/*
 * One decision of consequence. Rows name devices by number. action is a
 * short verb phrase ("device.release"), outcome an error code ("ok").
 */
struct audit {
	uint64_t number;     /* filled by the store */
	int64_t at;	     /* unix seconds; filled by the store */
	uint64_t caller;     /* 0: a device or authd itself */
	char action[33];
	char object_kind[17]; /* "device", "order", ... */
	name_t object;	     /* number or name */
	char outcome[33];
	uint64_t pos;	     /* of the event it caused, or 0 */
	char request_id[33];
	char detail[201];    /* never a secret */
};

#endif
