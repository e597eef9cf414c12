#include "authd/core/receipts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GATEWAYS_MAX 16384
#define ROWS_MAX 16384

int64_t
receipt_now_us(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The database's time at a monotonic moment of ours. */
static int64_t
database_us(const struct receipt_watch *w, int64_t mono_us)
{
	return w->ev.now_us + (mono_us - w->read_us);
}

static struct watch_gateway *
find_gateway(const struct receipt_watch *w, uint64_t number)
{
	size_t lo = 0, hi = w->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->gateway[mid].number == number)
			return &w->gateway[mid];
		if (w->gateway[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Its instance of that name, made if need be; NULL without memory. */
static struct watch_instance *
find_instance(struct watch_gateway *g, const char *name)
{
	struct watch_instance *more;
	size_t i, room;

	for (i = 0; i < g->n; i++)
		if (strcmp(g->instance[i].name, name) == 0)
			return &g->instance[i];
	if (g->n == g->room) {
		room = g->room == 0 ? 2 : g->room * 2;
		more = realloc(g->instance, room * sizeof(*more));
		if (more == NULL)
			return NULL;
		g->instance = more;
		g->room = room;
	}
	memset(&g->instance[g->n], 0, sizeof(g->instance[g->n]));
	memcpy(g->instance[g->n].name, name, sizeof(name_t));
	return &g->instance[g->n++];
}

/* One has said so, and so has each that was heard of lately. */
static int
is_enforced(const struct watch_gateway *g, int64_t now_us)
{
	int any = 0;
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (g->instance[i].said)
			any = 1;
		else if (now_us - g->instance[i].heard_us < HEARD_US)
			return 0;
	}
	return any;
}

static void
judge(struct receipt_watch *w, struct watch_gateway *g, int64_t now_us)
{
	int is = is_enforced(g, now_us);

	if (is && !g->enforced)
		w->enforced++;
	else if (!is && g->enforced)
		w->enforced--;
	g->enforced = is;
}

static void
say(struct watch_instance *i, const struct receipt *r, int64_t us,
    int64_t at_us)
{
	if (i->said)
		return;
	i->said = 1;
	i->r = *r;
	i->ms = us < 0 ? 0 : (double)us / 1000;
	i->at_us = at_us;
}

void
watch_hear(struct receipt_watch *w, uint64_t caller, const struct receipt *r,
    int64_t arrived_us)
{
	struct watch_gateway *g = find_gateway(w, caller);
	int64_t at_us = database_us(w, arrived_us), us;
	struct watch_instance *i;

	i = g == NULL ? NULL : find_instance(g, r->instance);
	if (i == NULL)
		return;
	i->heard_us = at_us;
	us = w->committed_us != 0 ? arrived_us - w->committed_us :
	    at_us - w->ev.at_us;
	if (r->position >= w->pos)
		say(i, r, us, at_us);
	judge(w, g, at_us);
}

void
watch_news_free(struct watch_news *news)
{
	free(news->instances);
	free(news->kept);
	memset(news, 0, sizeof(*news));
}

enum err
watch_read(struct store *st, uint64_t pos, struct watch_news *out)
{
	struct watch_news news = {NULL, NULL, 0, 0};
	enum err e = ERR_NOMEM;

	news.instances = calloc(ROWS_MAX, sizeof(*news.instances));
	news.kept = calloc(ROWS_MAX, sizeof(*news.kept));
	if (news.instances != NULL && news.kept != NULL)
		e = store_instances(st, news.instances, ROWS_MAX,
		    &news.ninstances);
	if (e == ERR_OK)
		e = store_receipts_list(st, pos, news.kept, ROWS_MAX,
		    &news.nkept);
	if (e == ERR_OK)
		*out = news;
	else
		watch_news_free(&news);
	return e;
}

static enum err
merge_kept(struct receipt_watch *w, const struct receipt_kept *k)
{
	struct watch_gateway *g = find_gateway(w, k->caller);
	struct watch_instance *i;

	if (g == NULL)
		return ERR_OK;
	i = find_instance(g, k->r.instance);
	if (i == NULL)
		return ERR_NOMEM;
	say(i, &k->r, k->at_us - w->ev.at_us, k->at_us);
	return ERR_OK;
}

/* One far ahead by now says so as well, if not when. */
static enum err
merge_instance(struct receipt_watch *w, const struct instance_row *row)
{
	struct watch_gateway *g = find_gateway(w, row->caller);
	struct receipt r = {.position = row->pos};
	struct watch_instance *i;

	if (g == NULL)
		return ERR_OK;
	i = find_instance(g, row->name);
	if (i == NULL)
		return ERR_NOMEM;
	if (i->heard_us < row->heard_us)
		i->heard_us = row->heard_us;
	memcpy(r.instance, row->name, sizeof(name_t));
	if (row->pos >= w->pos)
		say(i, &r, row->heard_us - w->ev.at_us, row->heard_us);
	return ERR_OK;
}

enum err
watch_merge(struct receipt_watch *w, const struct watch_news *news)
{
	int64_t now_us = database_us(w, receipt_now_us());
	enum err e = ERR_OK;
	size_t i;

	for (i = 0; i < news->nkept && e == ERR_OK; i++)
		e = merge_kept(w, &news->kept[i]);
	for (i = 0; i < news->ninstances && e == ERR_OK; i++)
		e = merge_instance(w, &news->instances[i]);
	for (i = 0; i < w->n; i++)
		judge(w, &w->gateway[i], now_us);
	return e;
}

static enum err
load_gateways(struct receipt_watch *w, struct store *st)
{
	struct gateway_row *rows = calloc(GATEWAYS_MAX, sizeof(*rows));
	size_t i, n = 0;
	enum err e = ERR_NOMEM;

	if (rows == NULL)
		return e;
	e = store_event_gateways(st, &w->ev, rows, GATEWAYS_MAX, &n);
	if (e == ERR_OK) {
		w->gateway = calloc(n == 0 ? 1 : n, sizeof(*w->gateway));
		e = w->gateway == NULL ? ERR_NOMEM : ERR_OK;
	}
	for (i = 0; e == ERR_OK && i < n; i++) {
		w->gateway[i].number = rows[i].number;
		memcpy(w->gateway[i].name, rows[i].name, sizeof(name_t));
		w->n = i + 1;
	}
	free(rows);
	return e;
}

static void
forget(struct receipt_watch *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		free(w->gateway[i].instance);
	free(w->gateway);
	w->gateway = NULL;
	w->n = w->enforced = 0;
}

/* Again without harm: a transaction may run more than once. */
enum err
watch_load(struct receipt_watch *w, struct store *st)
{
	struct watch_news news;
	enum err e;

	forget(w);
	w->read_us = receipt_now_us();
	e = store_event_get(st, w->pos, &w->ev);
	if (e != ERR_OK)
		return e;
	if (w->ev.at_us == 0)
		w->ev.at_us = w->ev.event.at * 1000000;
	e = load_gateways(w, st);
	if (e == ERR_OK)
		e = watch_read(st, w->pos, &news);
	if (e != ERR_OK)
		return e;
	e = watch_merge(w, &news);
	watch_news_free(&news);
	return e;
}

int
core_watch_complete(const struct receipt_watch *w)
{
	return w->enforced == w->n;
}

void
core_watch_free(struct receipt_watch **pw)
{
	if (*pw == NULL)
		return;
	forget(*pw);
	free(*pw);
	*pw = NULL;
}

static size_t
count_said(const struct receipt_watch *w)
{
	size_t i, j, n = 0;

	for (i = 0; i < w->n; i++)
		for (j = 0; j < w->gateway[i].n; j++)
			n += w->gateway[i].instance[j].said != 0;
	return n;
}

static void
report_gateway(const struct watch_gateway *g, int64_t now_us,
    struct receipt_report *out)
{
	struct laggard *late;
	struct receipt_row *row;
	int64_t heard = 0;
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (g->instance[i].heard_us > heard)
			heard = g->instance[i].heard_us;
		if (!g->instance[i].said)
			continue;
		row = &out->rows[out->nrows++];
		memcpy(row->gateway, g->name, sizeof(name_t));
		row->r = g->instance[i].r;
		row->ms = g->instance[i].ms;
		row->at = g->instance[i].at_us / 1000000;
		if (g->enforced && row->ms > out->slowest_ms)
			out->slowest_ms = row->ms;
	}
	if (g->enforced)
		return;
	late = &out->lagging[out->nlagging++];
	memcpy(late->gateway, g->name, sizeof(name_t));
	late->heard_ms = heard == 0 ? -1 : (now_us - heard) / 1000;
	if (heard != 0 && late->heard_ms < 0)
		late->heard_ms = 0;
}

enum err
core_watch_report(const struct receipt_watch *w, struct receipt_report *out)
{
	int64_t now_us = database_us(w, receipt_now_us());
	struct receipt_report r = {.event = w->ev.event, .expected = w->n,
	    .enforced = w->enforced, .token_life = w->token_life};
	size_t i;

	r.rows = calloc(count_said(w) + 1, sizeof(*r.rows));
	r.lagging = calloc(w->n + 1, sizeof(*r.lagging));
	if (r.rows == NULL || r.lagging == NULL) {
		core_report_free(&r);
		return ERR_NOMEM;
	}
	for (i = 0; i < w->n; i++)
		report_gateway(&w->gateway[i], now_us, &r);
	*out = r;
	return ERR_OK;
}

void
core_report_free(struct receipt_report *r)
{
	free(r->rows);
	free(r->lagging);
	memset(r, 0, sizeof(*r));
}
