/* The store in memory: one-use marks and wake-ups. */
#include "tests/helpers/fake_impl.h"

#include <stdlib.h>
#include <string.h>

enum err
store_listen(struct store *st, uint32_t ms)
{
	struct timespec until;
	struct db *db = st->db;
	enum err e;
	int rc = 0;

	if (st->tx != NONE)
		return ERR_INTERNAL;
	e = fake_count();
	if (e != ERR_OK)
		return e;
	fake_deadline(&until, ms);
	(void)pthread_mutex_lock(&db->lock);
	while (st->listening && db->notified == st->seen && rc == 0)
		rc = pthread_cond_timedwait(&db->change, &db->lock, &until);
	e = st->listening && db->notified == st->seen ? ERR_TIMEOUT : ERR_OK;
	st->listening = 1;
	st->seen = db->notified;
	(void)pthread_mutex_unlock(&db->lock);
	return e;
}

static int
same_mark(const struct mark *a, const struct mark *b)
{
	return a->tenant == b->tenant && a->dn == b->dn &&
	    a->exp == b->exp && memcmp(a->mark, b->mark, MARK_LEN) == 0;
}

/* With the lock held. */
static enum err
use(struct db *db, const struct mark *m)
{
	size_t i;

	for (i = 0; i < db->nmarks && !same_mark(&db->marks[i], m); i++)
		continue;
	if (i < db->nmarks)
		return ERR_ASSERTION_USED;
	db->marks = realloc(db->marks, (i + 1) * sizeof(*m));
	if (db->marks == NULL)
		abort();
	db->marks[db->nmarks++] = *m;
	return ERR_OK;
}

/* One commit, that may fail once for all. */
void
store_mark_use_many(struct store_pool *pool, const struct mark *m, size_t n,
    enum err *outcome, void (*meanwhile)(void *), void *arg)
{
	enum err e = fake_count();
	struct db *db = pool->db;
	size_t i;

	if (meanwhile != NULL && n > 0)
		meanwhile(arg);
	(void)pthread_mutex_lock(&db->lock);
	for (i = 0; i < n; i++)
		outcome[i] = e == ERR_OK ? use(db, &m[i]) : e;
	(void)pthread_mutex_unlock(&db->lock);
}

enum err
store_mark_use(struct store_pool *pool, const struct mark *m)
{
	enum err e = ERR_INTERNAL;

	store_mark_use_many(pool, m, 1, &e, NULL, NULL);
	return e;
}

enum err
store_mark_expire(struct store *st, uint32_t tenant, int64_t before,
    uint32_t limit, uint32_t *n)
{
	struct db *db = st->db;
	enum err e = fake_count();
	uint32_t gone = 0;
	size_t i = 0;

	if (e != ERR_OK || st->tx != NONE)
		return e != ERR_OK ? e : ERR_INTERNAL;
	(void)pthread_mutex_lock(&db->lock);
	while (i < db->nmarks && gone < limit) {
		if (db->marks[i].tenant == tenant &&
		    db->marks[i].exp < before) {
			db->marks[i] = db->marks[--db->nmarks];
			gone++;
		} else {
			i++;
		}
	}
	(void)pthread_mutex_unlock(&db->lock);
	*n = gone;
	return ERR_OK;
}
