#ifndef TESTS_FAKE_STORE_H
#define TESTS_FAKE_STORE_H

#include "authd/store/store.h"

/*
 * The store in memory, linked instead of libstore. Databases are told apart
 * by conninfo and live as long as the process. Writers take turns (snapshot
 * at begin, published at commit); readers see the snapshot of their begin.
 */

/* Call number n (from 1, counted from here) gives e; 0 none. */
void fake_store_fail_at(unsigned n, enum err e);
unsigned fake_store_calls(void); /* since then */
/* The database's clock; NULL the system's. */
void fake_store_clock(const struct clock *c);
/* The database is away (1): every call gives ERR_STORE. */
void fake_store_away(int away);

#endif
