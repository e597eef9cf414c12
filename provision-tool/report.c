#include "provision-tool/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provision-tool/stats.h"

#define ROOM 1024

/* Of a unit, as the pos of its serial number, which is never 0. */
enum { BEGUN = 1, DONE = 2, FIRST = 4 };

static enum err
add_unit(struct report *r, const struct stats_try *t, int ok)
{
	struct word *u;
	uint64_t is;
	enum err e;

	if ((e = wordtab_grow(&r->units)) != ERR_OK)
		return e;
	u = wordtab_put(&r->units, t->serial);
	is = u->pos == 0 && ok ? FIRST : 0;
	wordtab_set(&r->units, u, u->pos | BEGUN | is | (ok ? DONE : 0), 0);
	return ERR_OK;
}

static void
add_cause(struct report *r, const struct stats_try *t)
{
	struct report_cause *c;
	unsigned i;

	for (i = 0; i < r->ncauses; i++) {
		c = &r->causes[i];
		if (strcmp(c->step, t->step) == 0 &&
		    strcmp(c->code, t->code) == 0) {
			c->n++;
			return;
		}
	}
	if (i == REPORT_CAUSES) {
		r->other++;
		return;
	}
	c = &r->causes[r->ncauses++];
	(void)snprintf(c->step, sizeof(c->step), "%s", t->step);
	(void)snprintf(c->code, sizeof(c->code), "%s", t->code);
	c->n = 1;
}

static enum err
add_time(struct report *r, const struct stats_step *t)
{
	struct report_step *s;
	uint32_t *ms;
	unsigned i;

	for (i = 0; i < r->nsteps; i++)
		if (strcmp(r->steps[i].name, t->name) == 0)
			break;
	if (i == REPORT_STEPS)
		return ERR_OK;
	s = &r->steps[i];
	if (i == r->nsteps) {
		(void)snprintf(s->name, sizeof(s->name), "%s", t->name);
		r->nsteps++;
	}
	if (s->n == s->room) {
		ms = reallocarray(s->ms, s->room + ROOM + s->room / 2,
				  sizeof(*ms));
		if (ms == NULL)
			return ERR_NOMEM;
		s->ms = ms;
		s->room += ROOM + s->room / 2;
	}
	s->ms[s->n++] = t->ms;
	return ERR_OK;
}

/* Of a try that failed, the last step's time is that of its failure. */
static enum err
add_try(struct report *r, const struct stats_try *t)
{
	int ok = strcmp(t->code, err_code(ERR_OK)) == 0;
	unsigned i, n = t->n;
	enum err e;

	if (!name_is_serial(t->serial))
		return ERR_OK;
	e = add_unit(r, t, ok);
	if (!ok) {
		add_cause(r, t);
		n = n > 0 ? n - 1 : 0;
	}
	for (i = 0; e == ERR_OK && i < n; i++)
		e = add_time(r, &t->steps[i]);
	return e;
}

enum err
report_read(const char *path, struct report *r)
{
	char line[STATS_LINE_MAX + 2];
	struct stats_try t;
	FILE *f = fopen(path, "re");
	size_t len;
	enum err e = ERR_OK;

	if (f == NULL)
		return errno == ENOENT ? ERR_OK : ERR_IO;
	while (e == ERR_OK && fgets(line, sizeof(line), f) != NULL) {
		len = strlen(line);
		if (len > 1 && line[len - 1] == '\n' &&
		    stats_decode(line, len - 1, &t) == ERR_OK)
			e = add_try(r, &t);
	}
	if (e == ERR_OK && ferror(f))
		e = ERR_IO;
	(void)fclose(f);
	return e;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void
report_finish(struct report *r)
{
	unsigned i;
	size_t k;

	for (i = 0; i < r->nsteps; i++)
		qsort(r->steps[i].ms, r->steps[i].n, sizeof(uint32_t),
		      by_value);
	r->begun = r->units.n;
	r->done = r->first = 0;
	for (k = 0; k < r->units.cap; k++) {
		r->done += (r->units.slot[k].pos & DONE) != 0;
		r->first += (r->units.slot[k].pos & FIRST) != 0;
	}
}

uint32_t
report_percentile(const struct report_step *s, unsigned p)
{
	size_t rank = (s->n * p + 99) / 100;

	return s->ms[rank == 0 ? 0 : rank - 1];
}

void
report_free(struct report *r)
{
	unsigned i;

	for (i = 0; i < r->nsteps; i++)
		free(r->steps[i].ms);
	wordtab_free(&r->units);
	memset(r, 0, sizeof(*r));
}
