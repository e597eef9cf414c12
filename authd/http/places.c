#include "authd/http/places.h"

static unsigned
count(struct places *p, uint64_t who)
{
	unsigned i, n = 0;

	for (i = 0; i < PLACES; i++)
		n += atomic_load(&p->who[i]) == who;
	return n;
}

unsigned
places_take(struct places *p, uint64_t who)
{
	uint64_t nobody;
	unsigned i, place = 0;

	for (i = 0; place == 0 && i < PLACES; i++) {
		nobody = 0;
		if (atomic_compare_exchange_strong(&p->who[i], &nobody, who))
			place = i + 1;
	}
	/* Counted with our own: of two at a time at most one too few. */
	if (place != 0 && count(p, who) > PLACES_OF_ONE)
		places_leave(p, &place);
	return place;
}

void
places_leave(struct places *p, unsigned *place)
{
	if (*place != 0)
		atomic_store(&p->who[*place - 1], 0);
	*place = 0;
}
