#include "lib/model/event.h"

#include "lib/base/parse.h"

#define NKINDS (EV_SIGNING_KEY + 1)
#define NEFFECTS (EFFECT_LIFT + 1)

static const char *const kinds[NKINDS] = {
    NULL, "device", "group", "tenant", "token", "caller", "signing-key"};
static const char *const effects[NEFFECTS] = {NULL, "cut", "block", "lift"};

const char *
event_kind_name(enum event_kind k)
{
	return k >= EV_DEVICE && k <= EV_SIGNING_KEY ? kinds[k] : "unknown";
}

enum err
event_kind_parse(const char *s, enum event_kind *out)
{
	int i = name_find(kinds, NKINDS, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum event_kind)i;
	return ERR_OK;
}

const char *
event_effect_name(enum event_effect e)
{
	return e >= EFFECT_CUT && e <= EFFECT_LIFT ? effects[e] : "unknown";
}

enum err
event_effect_parse(const char *s, enum event_effect *out)
{
	int i = name_find(effects, NEFFECTS, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum event_effect)i;
	return ERR_OK;
}

uint64_t
event_number(const struct event *e)
{
	uint64_t n;

	switch (e->kind) {
	case EV_DEVICE:
	case EV_GROUP:
	case EV_TENANT:
	case EV_CALLER:
		return parse_u64(e->id, NUMBER_MAX, &n) == ERR_OK ? n : 0;
	case EV_TOKEN:
	case EV_SIGNING_KEY:
		break;
	}
	return 0;
}
