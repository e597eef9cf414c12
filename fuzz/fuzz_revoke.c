/*
 * The set against the rule as it is written down: a list of all events, each
 * asked in turn. Pruning and the floor must never bring anything to life.
 */
#include "fuzz/fuzz.h"

#include <string.h>

#include "lib/revoke/revset.h"

#define EVENTS_MAX 200
#define TENANT 3

struct history {
	struct event ev[EVENTS_MAX];
	size_t n;
	uint64_t floor;
};

/* Is the claim cut by an event newer than itself? */
static int
is_cut(const struct history *h, const struct claim *c)
{
	const struct event *e;
	uint64_t n;
	size_t i;

	for (i = 0; i < h->n; i++) {
		e = &h->ev[i];
		n = event_number(e);
		if (e->pos <= c->pos || e->effect == EFFECT_LIFT)
			continue;
		if ((e->kind == EV_DEVICE && n == c->dn &&
		    (e->ep_max == 0 || c->epoch <= e->ep_max)) ||
		    (e->kind == EV_GROUP && n == c->groups[0]) ||
		    (e->kind == EV_TENANT && n == TENANT))
			return 1;
	}
	return 0;
}

/* Is the group, tenant or whole device blocked after all its events? */
static int
is_blocked(const struct history *h, enum event_kind kind, uint64_t n)
{
	int blocked = 0;
	size_t i;

	for (i = 0; i < h->n; i++) {
		if (h->ev[i].kind != kind || event_number(&h->ev[i]) != n ||
		    h->ev[i].ep_max != 0)
			continue;
		if (h->ev[i].effect == EFFECT_BLOCK)
			blocked = 1;
		else if (h->ev[i].effect == EFFECT_LIFT)
			blocked = 0;
	}
	return blocked;
}

static void
ask(const struct revset *s, const struct history *h, const struct claim *c)
{
	enum err e = revset_check(s, c, NULL);

	if (is_cut(h, c) || c->pos < h->floor ||
	    is_blocked(h, EV_DEVICE, c->dn) ||
	    is_blocked(h, EV_GROUP, c->groups[0]) ||
	    is_blocked(h, EV_TENANT, TENANT))
		PROMISE(e != ERR_OK);
	if (h->n > 0 && c->pos > h->ev[h->n - 1].pos)
		PROMISE(e != ERR_OK);
}

static void
add(struct revset *s, struct history *h, const uint8_t *p, uint64_t pos)
{
	struct event *e = &h->ev[h->n];

	memset(e, 0, sizeof(*e));
	e->pos = pos;
	e->kind = (enum event_kind)(1 + p[0] % 3);
	e->effect = (enum event_effect)(1 + (p[0] >> 2) % 3);
	(void)snprintf(e->id, sizeof(e->id), "%u", 1U + p[1] % 4);
	if (e->kind == EV_DEVICE)
		e->ep_max = p[2] % 4;
	PROMISE(revset_apply(s, e, 1) == ERR_OK);
	h->n++;
}

void
fuzz_revoke(const uint8_t *p, size_t len)
{
	static struct history h;
	struct revset *s = NULL;
	uint32_t group;
	struct claim c = {.groups = &group, .ngroups = 1};
	uint64_t pos = 0;

	h.n = 0;
	h.floor = 0;
	PROMISE(revset_new(TENANT, &s) == ERR_OK);
	for (; len >= 4 && h.n < EVENTS_MAX; p += 4, len -= 4) {
		pos += 1 + (p[3] & 3);
		add(s, &h, p, pos);
		if (p[3] & 0x80) {
			if (pos - (p[3] & 3) > h.floor)
				h.floor = pos - (p[3] & 3);
			revset_advance(s, 0, h.floor);
		}
		if (p[3] & 0x40)
			revset_expire(s, 1);
		c.dn = 1 + (p[2] >> 2) % 4;
		c.epoch = 1 + (p[2] >> 4) % 4;
		group = 1 + (p[1] >> 2) % 4;
		for (c.pos = pos > 6 ? pos - 6 : 0; c.pos <= pos + 1; c.pos++)
			ask(s, &h, &c);
	}
	revset_free(&s);
}
