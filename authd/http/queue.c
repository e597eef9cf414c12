#include "authd/http/queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "authd/http/request.h"

struct line {
	struct req *first, *last;
};
struct queue {
	struct queue_conf conf;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct line single, joining;
	uint32_t places; /* taken */
	uint32_t runs;	 /* workers with a run */
	int stop;
	uint32_t nthreads;
	pthread_t thread[];
};

/* The rest of this file's helpers are called with the lock held. */
static struct req *
take(struct queue *q, struct line *l)
{
	struct req *r = l->first;

	if (r == NULL)
		return NULL;
	l->first = r->next;
	if (l->first == NULL)
		l->last = NULL;
	r->next = NULL;
	q->places--;
	return r;
}

static void
append(struct line *l, struct req *r)
{
	r->next = NULL;
	if (l->last != NULL)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
}

/* May a worker take a run now? */
static int
run_waits(const struct queue *q)
{
	return q->joining.first != NULL && q->runs < q->conf.runs;
}

/* What a worker does next: one request, or a run; 0: nothing. */
static size_t
take_work(struct queue *q, struct req **r)
{
	struct req *one = q->single.first;
	size_t n = 0;

	if (run_waits(q) && (one == NULL ||
	    q->joining.first->deadline_ms <= one->deadline_ms)) {
		while (n < QUEUE_RUN_MAX &&
		    (r[n] = take(q, &q->joining)) != NULL)
			n++;
		return n;
	}
	r[0] = take(q, &q->single);
	return r[0] != NULL;
}

/* Without the lock. Keeps those that are in time; the late ones go. */
static size_t
drop_late(struct queue *q, struct req **r, size_t n)
{
	int64_t now = clock_mono_ms(q->conf.clock);
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		if (now > r[i]->deadline_ms)
			q->conf.done(r[i], ERR_TIMEOUT);
		else
			r[k++] = r[i];
	return k;
}

/* Without the lock. */
static void
work(struct queue *q, struct req **r, size_t n, int joined)
{
	n = drop_late(q, r, n);
	if (n > 0 && joined)
		q->conf.run(r, n);
	else if (n > 0)
		q->conf.done(r[0], ERR_OK);
}

static void *
worker_main(void *arg)
{
	struct req *r[QUEUE_RUN_MAX];
	struct queue *q = arg;
	uint32_t joined;
	size_t n;

	(void)pthread_mutex_lock(&q->lock);
	while (!q->stop) {
		n = take_work(q, r);
		if (n == 0) {
			(void)pthread_cond_wait(&q->wake, &q->lock);
			continue;
		}
		joined = r[0]->joins != 0;
		q->runs += joined;
		if (run_waits(q)) /* another may have it */
			(void)pthread_cond_signal(&q->wake);
		(void)pthread_mutex_unlock(&q->lock);
		work(q, r, n, joined != 0);
		(void)pthread_mutex_lock(&q->lock);
		q->runs -= joined;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return NULL;
}

enum err
queue_new(const struct queue_conf *conf, struct queue **out)
{
	struct queue *q;

	q = calloc(1, sizeof(*q) + conf->workers * sizeof(q->thread[0]));
	if (q == NULL)
		return ERR_NOMEM;
	q->conf = *conf;
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->wake, NULL);
	for (; q->nthreads < conf->workers; q->nthreads++)
		if (pthread_create(&q->thread[q->nthreads], NULL, worker_main,
			q) != 0) {
			queue_free(&q);
			return ERR_INTERNAL;
		}
	*out = q;
	return ERR_OK;
}

enum err
queue_reserve(struct queue *q)
{
	enum err e = ERR_BUSY;

	(void)pthread_mutex_lock(&q->lock);
	if (!q->stop && q->places < q->conf.max) {
		q->places++;
		e = ERR_OK;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return e;
}

void
queue_push(struct queue *q, struct req *r)
{
	int stopped;

	(void)pthread_mutex_lock(&q->lock);
	stopped = q->stop;
	if (!stopped)
		append(r->joins ? &q->joining : &q->single, r);
	/* Whoever serves a run looks for the next when it is done. */
	if (!stopped && (!r->joins || run_waits(q)))
		(void)pthread_cond_signal(&q->wake);
	(void)pthread_mutex_unlock(&q->lock);
	if (stopped)
		q->conf.done(r, ERR_NOT_READY);
}

void
queue_again(struct queue *q, struct req *r)
{
	int stopped;

	(void)pthread_mutex_lock(&q->lock);
	stopped = q->stop;
	if (!stopped) {
		r->joins = 0;
		r->next = q->single.first;
		q->single.first = r;
		if (q->single.last == NULL)
			q->single.last = r;
		q->places++;
		(void)pthread_cond_signal(&q->wake);
	}
	(void)pthread_mutex_unlock(&q->lock);
	if (stopped)
		q->conf.done(r, ERR_NOT_READY);
}

/* The next request to refuse: all of them, or those past their deadline. */
static struct req *
take_due(struct queue *q, struct line *l, int all)
{
	int64_t now = clock_mono_ms(q->conf.clock);
	struct req *r = NULL;

	(void)pthread_mutex_lock(&q->lock);
	/* Deadlines are in order: all wait equally long. */
	if (l->first != NULL && (all || now > l->first->deadline_ms))
		r = take(q, l);
	(void)pthread_mutex_unlock(&q->lock);
	return r;
}

static void
refuse_due(struct queue *q, int all, enum err why)
{
	struct req *r;

	while ((r = take_due(q, &q->single, all)) != NULL ||
	    (r = take_due(q, &q->joining, all)) != NULL)
		q->conf.done(r, why);
}

void
queue_expire(struct queue *q)
{
	refuse_due(q, 0, ERR_TIMEOUT);
}

uint32_t
queue_length(struct queue *q)
{
	uint32_t n;

	(void)pthread_mutex_lock(&q->lock);
	n = q->places;
	(void)pthread_mutex_unlock(&q->lock);
	return n;
}

void
queue_stop(struct queue *q)
{
	uint32_t i;

	(void)pthread_mutex_lock(&q->lock);
	q->stop = 1;
	(void)pthread_cond_broadcast(&q->wake);
	(void)pthread_mutex_unlock(&q->lock);
	for (i = 0; i < q->nthreads; i++)
		(void)pthread_join(q->thread[i], NULL);
	q->nthreads = 0;
	refuse_due(q, 1, ERR_NOT_READY);
}

void
queue_free(struct queue **qp)
{
	struct queue *q = *qp;

	if (q == NULL)
		return;
	queue_stop(q);
	(void)pthread_cond_destroy(&q->wake);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
	*qp = NULL;
}
