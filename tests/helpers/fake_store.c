/* The store in memory: databases, pool, transactions. */
#include "tests/helpers/fake_impl.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const size_t row_size[T_COUNT] = {sizeof(struct f_tenant),
    sizeof(struct f_event), sizeof(struct f_data_key),
    sizeof(struct f_secret_key), sizeof(struct f_caller),
    sizeof(struct f_audience), sizeof(struct f_group),
    sizeof(struct f_model), sizeof(struct f_order), sizeof(struct f_device),
    sizeof(struct f_member), sizeof(struct f_device_key),
    sizeof(struct f_audit), sizeof(struct f_instance),
    sizeof(struct f_gateway_instance), sizeof(struct f_receipt),
    sizeof(struct f_ticket), sizeof(struct f_ticket_unit),
    sizeof(struct f_held_event), sizeof(struct f_held_by)};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct db *all;
static unsigned calls, fail_at;
static enum err fail_with;
static int away;
static const struct clock *db_clock = &clock_system;

void
fake_store_fail_at(unsigned n, enum err e)
{
	(void)pthread_mutex_lock(&all_lock);
	calls = 0;
	fail_at = n;
	fail_with = e;
	(void)pthread_mutex_unlock(&all_lock);
}

unsigned
fake_store_calls(void)
{
	unsigned n;

	(void)pthread_mutex_lock(&all_lock);
	n = calls;
	(void)pthread_mutex_unlock(&all_lock);
	return n;
}

void
fake_store_clock(const struct clock *c)
{
	db_clock = c == NULL ? &clock_system : c;
}

void
fake_store_away(int is)
{
	(void)pthread_mutex_lock(&all_lock);
	away = is;
	(void)pthread_mutex_unlock(&all_lock);
}

int64_t
fake_now(void)
{
	return clock_wall_s(db_clock);
}

enum err
fake_count(void)
{
	enum err e = ERR_OK;

	(void)pthread_mutex_lock(&all_lock);
	if (++calls == fail_at)
		e = fail_with;
	else if (away)
		e = ERR_STORE;
	(void)pthread_mutex_unlock(&all_lock);
	return e;
}

static struct db *
db_new(const char *name)
{
	struct db *db = calloc(1, sizeof(*db));
	struct f_tenant *zero = calloc(1, sizeof(*zero));

	if (db == NULL || zero == NULL)
		abort();
	db->name = strdup(name);
	db->head = calloc(1, sizeof(*db->head));
	if (db->name == NULL || db->head == NULL)
		abort();
	(void)pthread_mutex_init(&db->lock, NULL);
	(void)pthread_cond_init(&db->change, NULL);
	db->head->refs = 1;
	*zero = (struct f_tenant){.name = "fealty-authority",
	    .pos = UINT64_C(1) << POS_GENERATION_SHIFT, .next_device = 1,
	    .next_caller = 1, .next_model = 1, .next_group = 1};
	db->head->t[T_TENANT] = (struct table){(char *)zero, 1, 1};
	return db;
}

static struct db *
db_named(const char *name)
{
	struct db *db;

	(void)pthread_mutex_lock(&all_lock);
	for (db = all; db != NULL && strcmp(db->name, name) != 0;)
		db = db->next;
	if (db == NULL) {
		db = db_new(name);
		db->next = all;
		all = db;
	}
	(void)pthread_mutex_unlock(&all_lock);
	return db;
}

enum err
store_pool_open(const struct store_conf *conf, struct store_pool **out)
{
	struct store_pool *p;

	if (conf->conninfo == NULL || conf->sessions < 1 ||
	    conf->sessions > 256 || conf->connect_ms < 1 ||
	    conf->statement_ms < 1)
		return ERR_CONFIG;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		abort();
	p->db = db_named(conf->conninfo);
	p->conf = *conf;
	p->sessions = calloc(conf->sessions, sizeof(*p->sessions));
	p->taken = calloc(conf->sessions, 1);
	if (p->sessions == NULL || p->taken == NULL)
		abort();
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->returned, NULL);
	*out = p;
	return ERR_OK;
}

void
store_pool_close(struct store_pool **pool)
{
	struct store_pool *p;

	if (pool == NULL || *pool == NULL)
		return;
	p = *pool;
	*pool = NULL;
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_cond_destroy(&p->returned);
	free(p->sessions);
	free(p->taken);
	free(p);
}

void
fake_deadline(struct timespec *ts, uint32_t ms)
{
	(void)clock_gettime(CLOCK_REALTIME, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += (long)(ms % 1000) * 1000000;
	ts->tv_sec += ts->tv_nsec / 1000000000;
	ts->tv_nsec %= 1000000000;
}

enum err
store_acquire(struct store_pool *p, uint32_t wait_ms, struct store **out)
{
	struct timespec until;
	struct store *st = NULL;
	uint32_t i;
	int rc = 0;

	fake_deadline(&until, wait_ms);
	(void)pthread_mutex_lock(&p->lock);
	while (p->used == p->conf.sessions && rc == 0)
		rc = pthread_cond_timedwait(&p->returned, &p->lock, &until);
	for (i = 0; st == NULL && i < p->conf.sessions; i++)
		if (!p->taken[i])
			st = &p->sessions[i];
	if (st != NULL) {
		*st = (struct store){.pool = p, .db = p->db};
		st->slot = (uint32_t)(st - p->sessions);
		p->taken[st->slot] = 1;
		p->used++;
	}
	(void)pthread_mutex_unlock(&p->lock);
	if (st == NULL)
		return ERR_BUSY;
	*out = st;
	return ERR_OK;
}

void
store_release(struct store **out)
{
	struct store_pool *p;
	struct store *st;

	if (out == NULL || *out == NULL)
		return;
	st = *out;
	*out = NULL;
	store_rollback(st);
	p = st->pool;
	(void)pthread_mutex_lock(&p->lock);
	p->taken[st->slot] = 0;
	p->used--;
	(void)pthread_cond_signal(&p->returned);
	(void)pthread_mutex_unlock(&p->lock);
}

enum err
store_migrate(const char *conninfo, const char *dir, struct detail *d)
{
	DIR *there = opendir(dir);

	if (there == NULL) {
		detail_set(d, "no migrations in %s", dir);
		return ERR_CONFIG;
	}
	(void)closedir(there);
	(void)db_named(conninfo);
	return ERR_OK;
}

static struct version *
copy(const struct version *from)
{
	struct version *v = calloc(1, sizeof(*v));
	int t;

	if (v == NULL)
		abort();
	v->refs = 1;
	for (t = 0; t < T_COUNT; t++) {
		size_t n = from->t[t].n;

		v->t[t].n = v->t[t].cap = n;
		v->t[t].rows = n == 0 ? NULL : malloc(n * row_size[t]);
		if (n > 0 && v->t[t].rows == NULL)
			abort();
		if (n > 0)
			memcpy(v->t[t].rows, from->t[t].rows,
			    n * row_size[t]);
	}
	return v;
}

/* db lock held. */
static void
unref(struct version *v)
{
	int t;

	if (v == NULL || --v->refs > 0)
		return;
	for (t = 0; t < T_COUNT; t++)
		free(v->t[t].rows);
	free(v);
}

enum err
store_begin(struct store *st, uint32_t tenant, enum store_mode mode)
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
	fake_deadline(&until, st->pool->conf.statement_ms);
	(void)pthread_mutex_lock(&db->lock);
	while (mode == STORE_WRITE && db->writing && rc == 0)
		rc = pthread_cond_timedwait(&db->change, &db->lock, &until);
	if (mode == STORE_WRITE && db->writing) {
		(void)pthread_mutex_unlock(&db->lock);
		return ERR_STORE;
	}
	if (mode == STORE_WRITE) {
		db->writing = 1;
		st->v = copy(db->head);
	} else {
		st->v = db->head;
		st->v->refs++;
	}
	(void)pthread_mutex_unlock(&db->lock);
	st->tenant = tenant;
	st->mode = mode;
	st->notify = 0;
	st->tx = OPEN;
	return ERR_OK;
}

static void
end(struct store *st, int publish)
{
	struct db *db = st->db;

	(void)pthread_mutex_lock(&db->lock);
	if (publish && st->mode == STORE_WRITE) {
		unref(db->head);
		db->head = st->v;
		st->v = NULL;
		db->notified += st->notify != 0;
	}
	unref(st->v);
	st->v = NULL;
	if (st->mode == STORE_WRITE)
		db->writing = 0;
	(void)pthread_cond_broadcast(&db->change);
	(void)pthread_mutex_unlock(&db->lock);
	st->tx = NONE;
}

enum err
store_commit(struct store *st)
{
	enum err e;

	if (st->tx != OPEN)
		return ERR_INTERNAL;
	e = fake_count();
	if (e != ERR_OK)
		return fake_fail(st, e);
	end(st, 1);
	return ERR_OK;
}

void
store_unlock_early(struct store *st)
{
	if (st->tx != OPEN || st->mode != STORE_WRITE)
		abort();
}

void
store_rollback(struct store *st)
{
	if (st != NULL && st->tx != NONE)
		end(st, 0);
}

enum err
fake_fail(struct store *st, enum err e)
{
	if (st->tx != NONE)
		st->tx = FAILED;
	return e;
}

enum err
fake_enter(struct store *st, int writes)
{
	enum err e;

	if (st->tx != OPEN)
		return ERR_INTERNAL;
	if (writes && st->mode != STORE_WRITE)
		return fake_fail(st, ERR_INTERNAL);
	e = fake_count();
	return e == ERR_OK ? e : fake_fail(st, e);
}

enum err
fake_enter_anywhere(struct store *st)
{
	enum err e;

	if (st->tx == FAILED)
		return ERR_INTERNAL;
	e = fake_count();
	if (e != ERR_OK)
		return fake_fail(st, e);
	if (st->tx == NONE) {
		(void)pthread_mutex_lock(&st->db->lock);
		st->v = st->db->head;
		st->v->refs++;
		(void)pthread_mutex_unlock(&st->db->lock);
	}
	return ERR_OK;
}

void
fake_leave(struct store *st)
{
	if (st->tx != NONE)
		return;
	(void)pthread_mutex_lock(&st->db->lock);
	unref(st->v);
	st->v = NULL;
	(void)pthread_mutex_unlock(&st->db->lock);
}

void *
fake_add(struct store *st, enum fake_table t)
{
	struct table *tab = &st->v->t[t];
	char *row;

	if (tab->n == tab->cap) {
		tab->cap = tab->cap * 2 + 8;
		tab->rows = realloc(tab->rows, tab->cap * row_size[t]);
		if (tab->rows == NULL)
			abort();
	}
	row = tab->rows + tab->n++ * row_size[t];
	memset(row, 0, row_size[t]);
	memcpy(row, &st->tenant, sizeof(st->tenant));
	return row;
}

void *
fake_next_any(struct store *st, enum fake_table t, size_t *i)
{
	struct table *tab = &st->v->t[t];

	return *i < tab->n ? tab->rows + (*i)++ * row_size[t] : NULL;
}

void *
fake_next(struct store *st, enum fake_table t, size_t *i)
{
	uint32_t tenant;
	void *row;

	while ((row = fake_next_any(st, t, i)) != NULL) {
		memcpy(&tenant, row, sizeof(tenant));
		if (tenant == st->tenant)
			return row;
	}
	return NULL;
}

void
fake_drop(struct store *st, enum fake_table t, size_t *i)
{
	struct table *tab = &st->v->t[t];
	char *row = tab->rows + --*i * row_size[t];

	tab->n--;
	memmove(row, row + row_size[t], (tab->n - *i) * row_size[t]);
}

uint32_t
fake_tenant_number(const struct store *st)
{
	return st->tenant;
}

int
fake_writes(const struct store *st)
{
	return st->mode == STORE_WRITE;
}

void
fake_will_notify(struct store *st)
{
	st->notify = 1;
}
