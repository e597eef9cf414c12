#ifndef REVOKE_REVSET_INT_H
#define REVOKE_REVSET_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include "lib/revoke/numtab.h"
#include "lib/revoke/revset.h"
#include "lib/revoke/wordtab.h"

/*
 * The value of a number: the position of its newest cut, and whether it is
 * blocked. Positions are below 2^53, so one bit is free for that.
 */
#define VAL_BLOCK (UINT64_C(1) << 63)
#define VAL_POS(v) ((v) & ~VAL_BLOCK)

/*
 * What is limited to epochs (rare: rotations), a chain per device. No node
 * is implied by another but where both say the same.
 */
struct limited {
	uint64_t pos;	 /* cut */
	uint32_t ep_max; /* for epochs up to this one */
	uint32_t block;	 /* blocked for epochs up to this one; head only */
	uint32_t next;	 /* index; 0: last */
};
struct limits {
	struct numtab head; /* device number to index in node */
	struct limited *node; /* [0] unused */
	size_t n, cap;
};

struct revset {
	pthread_mutex_t writer; /* one writer at a time */
	pthread_rwlock_t lock;	/* the tables, against readers */
	_Atomic uint64_t pos, floor;
	uint64_t pruned;  /* floor at the last pruning; writer's */
	uint64_t tenant_val;
	uint32_t tenant;
	struct numtab devices, groups, callers;
	/* where devices lie, for reading ahead without a lock; see expect */
	struct {
		_Atomic uintptr_t slot;
		_Atomic size_t cap;
		_Atomic uint64_t seed;
	} ahead;
	struct limits limits;
	struct wordtab tokens, keys;
};

/* devices lie elsewhere from now on. The writer's. */
void revset_ahead(struct revset *s);

#endif
