#ifndef TESTS_GATEWAY_FEED_KIT_H
#define TESTS_GATEWAY_FEED_KIT_H

#include "tests/unit/gateway_feedd.h"
#include <stdatomic.h>

/* An authority, an enrolled gateway of it, and clocks that can be turned. */
struct fworld {
	struct feedd *f;
	struct fealty_gateway *g;
	struct fealty_options o;
	struct fealty_clock clock;
	_Atomic int64_t wall_off, mono_off;
	char state[64];
};
int fworld_up(void **state);
int fworld_down(void **state);
void fworld_open(struct fworld *w);
/* Turns both clocks on. */
void fworld_later(struct fworld *w, int64_t ms);

struct live {
	struct fealty_session *s;
	_Atomic uint64_t closed; /* position + 1 of what closed it; 0: not */
	_Atomic int64_t closed_us;
	char code[FEALTY_CODE];
};
/* For a session whose arg is a struct live. */
fealty_close_fn live_closed;
/* Registers device dn at the gateway's position. */
void live_open(struct fworld *w, struct live *l, uint64_t dn);
/* The code that a token of dn at pos gets, without waiting. */
const char *token_code(struct fworld *w, uint64_t dn, uint64_t pos,
    struct fealty_decision *d);
#define at_position(w, p) \
	eventually(fealty_gateway_position((w)->g) == (p))
#define receipted(w, r, p) \
	eventually((feedd_receipt((w)->f, (r)), (r)->position == (p)))

#endif
