#include "authd/http/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "authd/core/core.h"
#include "authd/http/route.h"

static const int statuses[] = {200, 201, 400, 401, 403, 404, 405, 409, 413,
    415, 422, 429, 500, 503};
#define NSTATUS (sizeof(statuses) / sizeof(statuses[0]))
static const int64_t bounds_us[] = {100, 250, 500, 1000, 2500, 5000, 10000,
    25000, 50000, 100000, 250000, 1000000};
#define NBOUNDS (sizeof(bounds_us) / sizeof(bounds_us[0]))

struct row {
	atomic_ullong status[NSTATUS + 1]; /* last: any other */
	atomic_ullong bucket[NBOUNDS + 1];
	atomic_ullong sum_us;
};

struct metrics {
	size_t n;
	struct row row[]; /* one a route, the last for none */
};

enum err
metrics_new(struct metrics **out)
{
	struct metrics *m;

	m = calloc(1, sizeof(*m) + (nroutes + 1) * sizeof(m->row[0]));
	if (m == NULL)
		return ERR_NOMEM;
	m->n = nroutes + 1;
	*out = m;
	return ERR_OK;
}

void
metrics_free(struct metrics **m)
{
	free(*m);
	*m = NULL;
}

static void
add(atomic_ullong *n, uint64_t by)
{
	(void)atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

void
metrics_count(struct metrics *m, const struct route *route, int status,
    int64_t us)
{
	struct row *row;
	size_t i;

	row = &m->row[route == NULL ? nroutes : (size_t)(route - routes)];
	for (i = 0; i < NSTATUS && statuses[i] != status; i++)
		;
	add(&row->status[i], 1);
	for (i = 0; i < NBOUNDS && us > bounds_us[i]; i++)
		;
	add(&row->bucket[i], 1);
	add(&row->sum_us, us > 0 ? (uint64_t)us : 0);
}

static uint64_t
get(const atomic_ullong *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

/* {listener="api",method="GET",route="/x" without the closing brace */
static enum err
labels(size_t i, struct buf *out)
{
	const struct route *rt = &routes[i];

	if (i == nroutes)
		return buf_str(out, "{listener=\"\",method=\"\",route=\"\"");
	return buf_fmt(out, "{listener=\"%s\",method=\"%s\",route=\"%s\"",
	    rt->listener == ON_API ? "api" : "device",
	    method_name(rt->method), rt->path);
}

static enum err
format_counts(const struct metrics *m, struct buf *out)
{
	enum err e;
	size_t i, s;

	e = buf_str(out, "# HELP fealty_requests_total Requests answered.\n"
	    "# TYPE fealty_requests_total counter\n");
	for (i = 0; i < m->n; i++)
		for (s = 0; s <= NSTATUS && e == ERR_OK; s++) {
			if (get(&m->row[i].status[s]) == 0)
				continue;
			e = buf_str(out, "fealty_requests_total");
			if (e == ERR_OK)
				e = labels(i, out);
			if (e == ERR_OK)
				e = buf_fmt(out,
				    ",status=\"%d\"} %" PRIu64 "\n",
				    s < NSTATUS ? statuses[s] : 0,
				    get(&m->row[i].status[s]));
		}
	return e;
}

static enum err
format_bucket(size_t i, double le, uint64_t n, struct buf *out)
{
	enum err e;

	e = buf_str(out, "fealty_request_seconds_bucket");
	if (e == ERR_OK)
		e = labels(i, out);
	if (e == ERR_OK && le > 0)
		e = buf_fmt(out, ",le=\"%g\"} %" PRIu64 "\n", le, n);
	else if (e == ERR_OK)
		e = buf_fmt(out, ",le=\"+Inf\"} %" PRIu64 "\n", n);
	return e;
}

static enum err
format_histogram(const struct row *row, size_t i, struct buf *out)
{
	uint64_t n = 0;
	enum err e = ERR_OK;
	size_t b;

	for (b = 0; b <= NBOUNDS && e == ERR_OK; b++) {
		n += get(&row->bucket[b]);
		e = format_bucket(i, b < NBOUNDS ?
		    (double)bounds_us[b] / 1e6 : 0, n, out);
	}
	if (e == ERR_OK)
		e = buf_str(out, "fealty_request_seconds_sum");
	if (e == ERR_OK)
		e = labels(i, out);
	if (e == ERR_OK)
		e = buf_fmt(out, "} %g\nfealty_request_seconds_count",
		    (double)get(&row->sum_us) / 1e6);
	if (e == ERR_OK)
		e = labels(i, out);
	if (e == ERR_OK)
		e = buf_fmt(out, "} %" PRIu64 "\n", n);
	return e;
}

static int
was_used(const struct row *row)
{
	size_t b;

	for (b = 0; b <= NBOUNDS; b++)
		if (get(&row->bucket[b]) != 0)
			return 1;
	return 0;
}

static enum err
format_figures(const struct core *core, uint32_t queued, struct buf *out)
{
	struct core_figures f = {0};
	enum err e = ERR_OK;
	size_t i;

	core_figures(core, &f);
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
	    {"tokens_issued_total", "counter", "Access tokens issued.",
		f.tokens_issued},
	    {"assertions_refused_total", "counter",
		"Client assertions refused.", f.assertions_refused},
	    {"introspections_total", "counter", "Tokens introspected.",
		f.introspections},
	    {"introspections_cached_total", "counter",
		"Of these, signature seen before.",
		f.introspections_from_cache},
	    {"psk_resolved_total", "counter", "PSKs given to gateways.",
		f.psk_resolved},
	    {"rotations_total", "counter", "First uses of a new epoch.",
		f.rotations},
	    {"possible_clones_total", "counter",
		"Times that a dead epoch's key was used.",
		f.possible_clones},
	    {"devices_cached", "gauge", "Devices in memory.",
		f.devices_cached},
	    {"events_applied_total", "counter", "Revocation events applied.",
		f.events_applied},
	    {"position", "gauge", "Position of tenant default.",
		f.position},
	    {"revoked_entries", "gauge", "Entries of the revocation sets.",
		f.revoked_entries},
	    {"queue_length", "gauge", "Requests waiting for a worker.",
		queued},
	};
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]) && e == ERR_OK; i++)
		e = buf_fmt(out,
		    "# HELP fealty_%s %s\n# TYPE fealty_%s %s\nfealty_%s "
		    "%" PRIu64 "\n",
		    rows[i].name, rows[i].help, rows[i].name, rows[i].type,
		    rows[i].name, rows[i].value);
	return e;
}

enum err
metrics_format(const struct metrics *m, const struct core *core,
    uint32_t queued, struct buf *out)
{
	enum err e;
	size_t i;

	e = format_counts(m, out);
	if (e == ERR_OK)
		e = buf_str(out,
		    "# HELP fealty_request_seconds Time to the answer.\n"
		    "# TYPE fealty_request_seconds histogram\n");
	for (i = 0; i < m->n && e == ERR_OK; i++)
		if (was_used(&m->row[i]))
			e = format_histogram(&m->row[i], i, out);
	if (e == ERR_OK)
		e = format_figures(core, queued, out);
	return e;
}
