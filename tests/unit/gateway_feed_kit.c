#include "tests/unit/gateway_feed_kit.h"

#include <time.h>
#include <unistd.h>

static int64_t
clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

static int64_t
wall(void *arg)
{
	struct fworld *w = arg;

	return (clock_ms(CLOCK_REALTIME) + atomic_load(&w->wall_off));
}

static int64_t
monotonic(void *arg)
{
	struct fworld *w = arg;

	/* as of a machine that has been up for a while */
	return (clock_ms(CLOCK_MONOTONIC) + 86400000 +
	    atomic_load(&w->mono_off));
}

void
fworld_open(struct fworld *w)
{
	char reason[FEALTY_REASON] = "";

	w->g = fealty_gateway_open(&w->o, reason, sizeof(reason));
	if (w->g == NULL)
		fail_msg("%s", reason);
}

int
fworld_up(void **state)
{
	struct fworld *w = calloc(1, sizeof(*w));

	w->f = feedd_start();
	w->o = feedd_options(w->f);
	w->clock = (struct fealty_clock){wall, monotonic, w};
	w->o.clock = &w->clock;
	snprintf(w->state, sizeof(w->state), "%s.state",
	    feedd_enrolment(w->f));
	fworld_open(w);
	eventually(fealty_gateway_ready(w->g));
	*state = w;
	return (0);
}

int
fworld_down(void **state)
{
	struct fworld *w = *state;

	fealty_gateway_close(&w->g);
	feedd_stop(&w->f);
	unlink(w->state);
	free(w);
	return (0);
}

void
fworld_later(struct fworld *w, int64_t ms)
{
	atomic_fetch_add(&w->wall_off, ms);
	atomic_fetch_add(&w->mono_off, ms);
}

void
live_closed(void *arg, const char *code, uint64_t position)
{
	struct timespec ts;
	struct live *l = arg;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(l->code, sizeof(l->code), "%s", code);
	atomic_store(&l->closed_us, (int64_t)ts.tv_sec * 1000000 +
	    ts.tv_nsec / 1000);
	atomic_store(&l->closed, position + 1);
}

void
live_open(struct fworld *w, struct live *l, uint64_t dn)
{
	struct fealty_device d = {.device_number = dn, .epoch = 1,
	    .ngroups = 1, .groups = {(uint32_t)dn + 10}, .tls = 13};

	memset(l, 0, sizeof(*l));
	snprintf(d.device_id, sizeof(d.device_id), "dev-%d", (int)dn);
	d.position = fealty_gateway_position(w->g);
	l->s = fealty_session_register(w->g, &d, live_closed, l, NULL);
	assert_non_null(l->s);
}

const char *
token_code(struct fworld *w, uint64_t dn, uint64_t pos,
    struct fealty_decision *d)
{
	char token[TOKEN_MAX + 1];

	feedd_token(w->f, dn, pos, token, sizeof(token));
	fealty_token_check(w->g, token, strlen(token), NULL, 0, d);
	return (d->code);
}
