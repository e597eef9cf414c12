#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include "lib/model/names.h"

enum event_kind {
	EV_DEVICE = 1,
	EV_GROUP,
	EV_TENANT,
	EV_TOKEN,
	EV_CALLER,
	EV_SIGNING_KEY
};
const char *event_kind_name(enum event_kind k); /* "device", "signing-key" */
enum err event_kind_parse(const char *s, enum event_kind *out) MUST_CHECK;

enum event_effect { EFFECT_CUT = 1, EFFECT_BLOCK, EFFECT_LIFT };
const char *event_effect_name(enum event_effect e);
enum err event_effect_parse(const char *s, enum event_effect *out) MUST_CHECK;

/*
 * One revocation. id is a decimal number for device, group, tenant and
 * caller, a jti for token, a kid for signing-key.
 */
struct event {
	uint64_t pos;
	enum event_kind kind;
	enum event_effect effect;
	name_t id;
	uint32_t ep_max; /* device only: epochs up to this one; 0 all */
	int64_t exp;	 /* token only: when it would have expired; else 0 */
	int64_t at;	 /* unix seconds */
};
/* The number in id; 0 when it is none. */
uint64_t event_number(const struct event *e);

#endif
