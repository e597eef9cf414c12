#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "gateway/agent/agent.h"

/* GET /status for people and probes, GET /metrics for Prometheus. */

static void
done(struct req *r, enum err e, unsigned status, const char *type)
{
	if (e != ERR_OK) {
		answer_error(r, e, "");
		return;
	}
	r->err = ERR_OK;
	r->status = status;
	r->type = type;
}

void
status_run(struct req *r)
{
	const struct fealty_gateway *g = r->door->agent->gateway;
	uint64_t pos = fealty_gateway_position(g);
	uint64_t head = fealty_gateway_head(g), age = fealty_gateway_age(g);
	int ready = fealty_gateway_ready(g);
	enum err e;

	e = buf_fmt(&r->answer, "{\"ready\":%s,\"position\":%" PRIu64
	    ",\"lag\":%" PRIu64 ",", ready ? "true" : "false", pos,
	    head > pos ? head - pos : 0);
	if (e == ERR_OK && age == UINT64_MAX)
		e = buf_str(&r->answer, "\"staleness_ms\":null}\n");
	else if (e == ERR_OK)
		e = buf_fmt(&r->answer, "\"staleness_ms\":%" PRIu64 "}\n",
		    age);
	done(r, e, ready ? 200 : 503, "application/json");
}

static enum err
gauge(struct buf *out, const char *name, const char *help, const char *value)
{
	return (buf_fmt(out, "# HELP %s %s\n# TYPE %s gauge\n%s %s\n", name,
	    help, name, name, value));
}

static enum err
gauge_u64(struct buf *out, const char *name, const char *help, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return (gauge(out, name, help, text));
}

static enum err
gateway_part(const struct agent *a, struct buf *out)
{
	const struct fealty_gateway *g = a->gateway;
	uint64_t pos = fealty_gateway_position(g);
	uint64_t head = fealty_gateway_head(g), age = fealty_gateway_age(g);
	char text[40];
	enum err e;

	(void)snprintf(text, sizeof(text), "%" PRIu64 ".%03u", age / 1000,
	    (unsigned)(age % 1000));
	e = gauge_u64(out, "fealty_gateway_ready",
	    "Keys and revocations are at hand and fresh.",
	    fealty_gateway_ready(g) ? 1 : 0);
	if (e == ERR_OK)
		e = gauge_u64(out, "fealty_gateway_position",
		    "Revocations are enforced up to here.", pos);
	if (e == ERR_OK)
		e = gauge_u64(out, "fealty_gateway_lag_events",
		    "Revocations known to exist, not enforced yet.",
		    head > pos ? head - pos : 0);
	if (e == ERR_OK)
		e = gauge(out, "fealty_gateway_staleness_seconds",
		    "Since the authority was last heard.",
		    age == UINT64_MAX ? "+Inf" : text);
	return (e);
}

static enum err
route_part(const struct counts *c, enum route i, struct buf *out)
{
	return (buf_fmt(out,
	    "fealty_agent_requests_total{route=\"%s\",result=\"accepted\"} "
	    "%llu\n"
	    "fealty_agent_requests_total{route=\"%s\",result=\"refused\"} "
	    "%llu\n", route_name(i), atomic_load(&c->accepted[i]),
	    route_name(i), atomic_load(&c->refused[i])));
}

static enum err
seconds_part(const struct counts *c, enum route i, struct buf *out)
{
	unsigned long long us = atomic_load(&c->us[i]);

	return (buf_fmt(out, "fealty_agent_request_seconds_total{route="
	    "\"%s\"} %llu.%06llu\n", route_name(i), us / 1000000,
	    us % 1000000));
}

void
metrics_run(struct req *r)
{
	struct agent *a = r->door->agent;
	struct buf *out = &r->answer;
	enum err e = gateway_part(a, out);

	if (e == ERR_OK)
		e = gauge_u64(out, "fealty_agent_waiting",
		    "Requests that wait for a thread that may wait.",
		    waiters_depth(a->waiters));
	if (e == ERR_OK)
		e = buf_str(out, "# HELP fealty_agent_requests_total Requests "
		    "answered.\n# TYPE fealty_agent_requests_total counter\n");
	for (int i = 0; e == ERR_OK && i < ROUTES; i++)
		e = route_part(&a->counts, (enum route)i, out);
	if (e == ERR_OK)
		e = buf_str(out, "# HELP fealty_agent_request_seconds_total "
		    "Time spent on them.\n"
		    "# TYPE fealty_agent_request_seconds_total counter\n");
	for (int i = 0; e == ERR_OK && i < ROUTES; i++)
		e = seconds_part(&a->counts, (enum route)i, out);
	done(r, e, 200, "text/plain; version=0.0.4");
}
