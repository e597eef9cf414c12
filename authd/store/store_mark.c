/*
 * One use of an assertion. Concurrent callers queue; whoever finds a lane
 * free leads: takes a run of one tenant's marks, inserts them in one round
 * trip and one durable commit, and tells the others. Which of them was first
 * is what INSERT … ON CONFLICT … RETURNING says, so it holds across
 * processes; an answer that is not known to be committed is ERR_STORE.
 */
#include "authd/store/pg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_MAX 256
#define QUEUE_MAX 8192
#define TRIES 3

/* One caller with the marks it brought. */
struct mark_group {
	pthread_cond_t wake;
	size_t queued, left; /* not yet taken, not yet answered */
	int lead; /* a lane is free and this one is to use it */
	void (*meanwhile)(void *); /* NULL once it was called */
	void *arg;
};
struct mark_wait {
	const struct mark *m;
	struct mark_group *group;
	struct mark_wait *next;
	int fresh;
	enum err e;
};

enum err
marks_open(struct store_pool *pool)
{
	int i;

	if (pthread_mutex_init(&pool->mark_lock, NULL) != 0)
		return ERR_NOMEM;
	for (i = 0; i < MARK_LANES; i++) {
		pool->lane[i].pool = pool;
		pool->lane[i].mode = STORE_WRITE;
	}
	return ERR_OK;
}

void
marks_close(struct store_pool *pool)
{
	int i;

	for (i = 0; i < MARK_LANES; i++)
		pg_drop(&pool->lane[i]);
	(void)pthread_mutex_destroy(&pool->mark_lock);
}

static int
compare(const struct mark *a, const struct mark *b)
{
	if (a->exp != b->exp)
		return a->exp < b->exp ? -1 : 1;
	if (a->dn != b->dn)
		return a->dn < b->dn ? -1 : 1;
	return memcmp(a->mark, b->mark, MARK_LEN);
}

static int
compare_waits(const void *a, const void *b)
{
	const struct mark_wait *const *x = a, *const *y = b;

	return compare((*x)->m, (*y)->m);
}

/* The marks of a batch without their duplicates, as columns. */
struct columns {
	size_t n;
	int64_t exp[BATCH_MAX];
	int64_t dn[BATCH_MAX];
	unsigned char mark[BATCH_MAX][MARK_LEN];
};

/* The first of the equal waits for a returned row, from place at on, or n. */
static size_t
find_wait(struct mark_wait **w, size_t n, size_t at, const struct mark *got)
{
	while (at < n && compare(w[at]->m, got) != 0)
		at++;
	return at;
}

/* Says fresh to the one waiter that stands for each returned row. */
static enum err
deal(const PGresult *res, struct mark_wait **w, size_t n)
{
	struct pg_row row = {.res = res};
	struct mark got = {0};
	size_t i = 0;

	for (; row.row < PQntuples(res); row.row++) {
		row.col = 0;
		got.exp = row_int(&row);
		got.dn = row_u64(&row);
		if (row_bytes(&row, got.mark, MARK_LEN) != MARK_LEN)
			row.e = ERR_INTERNAL;
		/* Rows mostly come as they went in. */
		i = find_wait(w, n, i, &got);
		if (i == n)
			i = find_wait(w, n, 0, &got);
		if (row.e != ERR_OK || i == n || w[i]->fresh)
			return ERR_INTERNAL;
		/* Sorted: the first of equal ones. */
		w[i]->fresh = 1;
	}
	return ERR_OK;
}

/*
 * Rows go in sorted: two batches that share marks, here or in another
 * process, wait for each other in the same order and cannot deadlock.
 */
static enum err
send_batch(struct store *st, uint32_t tenant, const struct columns *c,
    struct pg_round *r)
{
	static const struct stmt s = {"mark_use",
	    "INSERT INTO assertion_mark (tenant, exp, device, mark) "
	    "SELECT current_tenant(), u.exp, u.device, u.mark "
	    "FROM unnest($1, $2, $3) WITH ORDINALITY "
	    "AS u (exp, device, mark, place) ORDER BY u.place "
	    "ON CONFLICT DO NOTHING RETURNING exp, device, mark"};
	struct pg_args a = {0}, t = {0};
	char number[16];
	enum err e;

	(void)snprintf(number, sizeof(number), "%u", tenant);
	arg_text(&t, number);
	arg_ints(&a, c->exp, c->n);
	arg_ints(&a, c->dn, c->n);
	arg_octets(&a, c->mark[0], MARK_LEN, c->n);
	e = round_add(st, r, &pg_begin_write, NULL);
	if (e == ERR_OK)
		e = round_add(st, r, &pg_set_tenant, &t);
	if (e == ERR_OK)
		e = round_add(st, r, &s, &a);
	if (e == ERR_OK)
		e = round_add(st, r, &pg_commit, NULL);
	if (e == ERR_OK)
		e = round_send(st, r);
	args_free(&a);
	return e;
}

/* No lock held: what the caller can do until it knows. */
static void
use_time(struct mark_group *g)
{
	void (*f)(void *) = g->meanwhile;

	g->meanwhile = NULL;
	if (f != NULL)
		f(g->arg);
}

static enum err
insert_once(struct store *st, struct mark_group *leader,
    struct mark_wait **w, size_t n, const struct columns *c)
{
	struct pg_round r = {0};
	enum err e;

	e = pg_connect(st);
	if (e != ERR_OK)
		return ERR_STORE;
	e = send_batch(st, w[0]->m->tenant, c, &r);
	if (e == ERR_OK) {
		use_time(leader);
		e = round_read(st, &r);
	} else {
		pg_drop(st);
	}
	if (e == ERR_OK)
		e = r.done == 4 ? round_committed(st, &r, 3) : ERR_STORE;
	if (e == ERR_OK)
		e = deal(r.res[2], w, n);
	round_free(&r);
	if (e == ERR_OK || st->conn == NULL)
		return e;
	/* The failed transaction is still open. */
	if (round_add(st, &r, &pg_rollback, NULL) != ERR_OK ||
	    round_send(st, &r) != ERR_OK || round_read(st, &r) != ERR_OK)
		pg_drop(st);
	round_free(&r);
	return e;
}

/* Answers a batch of one tenant. No lock held. */
static void
insert_batch(struct store *st, struct mark_group *leader,
    struct mark_wait **w, size_t n)
{
	struct columns c;
	enum err e = ERR_CONFLICT;
	size_t i;
	int t;

	qsort(w, n, sizeof(struct mark_wait *), compare_waits);
	c.n = 0;
	for (i = 0; i < n; i++) {
		if (i > 0 && compare(w[i - 1]->m, w[i]->m) == 0)
			continue;
		c.exp[c.n] = w[i]->m->exp;
		c.dn[c.n] = (int64_t)w[i]->m->dn;
		memcpy(c.mark[c.n++], w[i]->m->mark, MARK_LEN);
	}
	/* A lost race left nothing behind: again. */
	for (t = 0; t < TRIES && e == ERR_CONFLICT; t++)
		e = insert_once(st, leader, w, n, &c);
	for (i = 0; i < n; i++) {
		if (e != ERR_OK)
			w[i]->e = e;
		else
			w[i]->e = w[i]->fresh ? ERR_OK : ERR_ASSERTION_USED;
	}
}

static void
unlink_wait(struct store_pool *pool, struct mark_wait *prev,
    struct mark_wait *w)
{
	if (prev == NULL)
		pool->mark_head = w->next;
	else
		prev->next = w->next;
	if (pool->mark_tail == w)
		pool->mark_tail = prev;
	w->next = NULL;
	w->group->queued--;
	pool->marks_queued--;
}

/* Takes the oldest and others of its tenant. Lock held. */
static size_t
take_batch(struct store_pool *pool, struct mark_wait **out)
{
	struct mark_wait *w = pool->mark_head, *prev = NULL, *next;
	uint32_t tenant;
	size_t n = 0;

	if (w == NULL)
		return 0;
	tenant = w->m->tenant;
	for (; w != NULL && n < BATCH_MAX; w = next) {
		next = w->next;
		if (w->m->tenant != tenant) {
			prev = w;
			continue;
		}
		unlink_wait(pool, prev, w);
		out[n++] = w;
	}
	return n;
}

/* Who waits longest leads next. Lock held. */
static void
pass_lead(struct store_pool *pool)
{
	if (pool->mark_head == NULL)
		return;
	pool->mark_head->group->lead = 1;
	(void)pthread_cond_signal(&pool->mark_head->group->wake);
}

/* Leads one batch on the lane. Lock held on entry and exit. */
static void
lead(struct store_pool *pool, struct mark_group *self, int lane)
{
	struct mark_wait *batch[BATCH_MAX];
	size_t n, i;

	pool->lane_busy[lane] = 1;
	n = take_batch(pool, batch);
	(void)pthread_mutex_unlock(&pool->mark_lock);
	if (n > 0)
		insert_batch(&pool->lane[lane], self, batch, n);
	(void)pthread_mutex_lock(&pool->mark_lock);
	pool->lane_busy[lane] = 0;
	/* A group answered whole is its caller's again: once only. */
	for (i = 0; i < n; i++)
		if (--batch[i]->group->left == 0)
			(void)pthread_cond_signal(&batch[i]->group->wake);
	pass_lead(pool);
}

static int
free_lane(const struct store_pool *pool)
{
	int i;

	for (i = 0; i < MARK_LANES; i++)
		if (!pool->lane_busy[i])
			return i;
	return -1;
}

/* Gives up places in the queue; what is in a batch must await its answer. */
static void
abandon(struct store_pool *pool, struct mark_group *self)
{
	struct mark_wait *w, *prev = NULL, *next;

	for (w = pool->mark_head; w != NULL; w = next) {
		next = w->next;
		if (w->group != self) {
			prev = w;
			continue;
		}
		unlink_wait(pool, prev, w);
		w->e = ERR_STORE;
		self->left--;
	}
	/* It may have been the one to lead: pass that on. */
	if (self->lead)
		pass_lead(pool);
}

static void
await(struct store_pool *pool, struct mark_group *self)
{
	struct timespec until;
	int rc = 0, lane;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (pool->conf.connect_ms +
	    2 * pool->conf.statement_ms) / 1000 + 5;
	while (self->left > 0) {
		lane = self->queued > 0 ? free_lane(pool) : -1;
		if (lane >= 0) {
			lead(pool, self, lane);
			continue;
		}
		if (self->queued == 0)
			(void)pthread_cond_wait(&self->wake,
			    &pool->mark_lock);
		else
			rc = pthread_cond_timedwait(&self->wake,
			    &pool->mark_lock, &until);
		if (rc == ETIMEDOUT && self->queued > 0)
			abandon(pool, self);
	}
}

static enum err
group_init(struct mark_group *g)
{
	pthread_condattr_t attr;
	int bad;

	memset(g, 0, sizeof(*g));
	if (pthread_condattr_init(&attr) != 0)
		return ERR_NOMEM;
	bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&g->wake, &attr) != 0;
	(void)pthread_condattr_destroy(&attr);
	return bad ? ERR_NOMEM : ERR_OK;
}

/* Lock held. */
static void
enqueue(struct store_pool *pool, struct mark_wait *w)
{
	if (pool->mark_head == NULL)
		pool->mark_head = w;
	else
		pool->mark_tail->next = w;
	pool->mark_tail = w;
	pool->marks_queued++;
	w->group->queued++;
	w->group->left++;
}

void
store_mark_use_many(struct store_pool *pool, const struct mark *m, size_t n,
    enum err *outcome, void (*meanwhile)(void *), void *arg)
{
	struct mark_wait w[STORE_MARKS_MAX];
	struct mark_group self;
	enum err e;
	size_t i;

	e = n <= STORE_MARKS_MAX ? group_init(&self) : ERR_INTERNAL;
	for (i = 0; i < n && e != ERR_OK; i++)
		outcome[i] = e;
	if (e != ERR_OK)
		return;
	self.meanwhile = meanwhile;
	self.arg = arg;
	for (i = 0; i < n; i++)
		w[i] = (struct mark_wait){.m = &m[i], .group = &self,
		    .e = ERR_BUSY};
	(void)pthread_mutex_lock(&pool->mark_lock);
	for (i = 0; i < n && pool->marks_queued < QUEUE_MAX; i++)
		enqueue(pool, &w[i]);
	if (self.queued > 0 && free_lane(pool) < 0) {
		/* Another leads: it need not wait for this, nor this for it. */
		(void)pthread_mutex_unlock(&pool->mark_lock);
		use_time(&self);
		(void)pthread_mutex_lock(&pool->mark_lock);
	}
	await(pool, &self);
	(void)pthread_mutex_unlock(&pool->mark_lock);
	(void)pthread_cond_destroy(&self.wake);
	for (i = 0; i < n; i++) {
		outcome[i] = w[i].e;
		/* What it led itself failed, and another has kept its marks. */
		if (outcome[i] == ERR_OK)
			use_time(&self);
	}
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
	static const struct stmt s = {"mark_expire",
	    "WITH gone AS (DELETE FROM assertion_mark WHERE ctid = ANY "
	    "(ARRAY(SELECT ctid FROM assertion_mark WHERE exp < $1 "
	    "ORDER BY exp LIMIT $2)) RETURNING 1) "
	    "SELECT count(*) FROM gone"};
	struct pg_args a = {0};
	uint64_t v = 0;
	enum err e;

	e = store_begin(st, tenant, STORE_WRITE);
	if (e != ERR_OK)
		return e;
	arg_int(&a, before);
	arg_int(&a, limit);
	e = pg_number(st, &s, &a, &v);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK) {
		store_rollback(st);
		return e;
	}
	*n = (uint32_t)v;
	return ERR_OK;
}
