#ifndef HTTP_PLACES_H
#define HTTP_PLACES_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Answers that may be large (snapshots) are few at a time, and fewer of one
 * caller, so that neither memory nor workers are theirs alone. No lock.
 */
#define PLACES 8
#define PLACES_OF_ONE 2

struct places {
	_Atomic uint64_t who[PLACES]; /* 0: free */
};
/* A place from 1 for who (not 0); 0: none is left. */
unsigned places_take(struct places *p, uint64_t who);
/* *place becomes 0; again without harm. */
void places_leave(struct places *p, unsigned *place);

#endif
