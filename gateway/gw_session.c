#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"

/* Live sessions, by device number. */
enum session_state { LIVE, DOOMED, CLOSING, CLOSED };

struct fealty_session {
	struct fealty_session *next, **prev; /* of the bucket */
	struct fealty_session *doomed;	     /* the cutter's list */
	enum session_state state;
	bool forsaken; /* unregistered: whoever comes last frees */
	pthread_t closer;
	struct fealty_device peer;
	fealty_close_fn *close_session;
	void *arg;
	enum err why;
	uint64_t event;
	uint64_t batch; /* that ended it */
};

/*
 * Events are applied in batches. A batch is over once the host has let go of
 * every session it ended; batches are reported in their order. At most this
 * many are told apart: beyond, they are reported together.
 */
#define BATCHES 64
struct batch {
	uint64_t pos; /* applied up to here; 0: not yet */
	uint32_t live, closed;
	int64_t heard_us;
};
struct gw_sessions {
	pthread_mutex_t lock;
	struct batch batch[BATCHES];
	uint64_t oldest, newest; /* the newest is being filled */
	bool any; /* was ever registered */
	pthread_cond_t closed;
	uint32_t n, max, buckets;
	struct fealty_session **bucket;
};

enum err
gw_sessions_new(uint32_t max, struct gw_sessions **out)
{
	struct gw_sessions *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (ERR_NOMEM);
	s->max = max;
	s->buckets = max < 64 ? 64 : max;
	s->bucket = calloc(s->buckets, sizeof(*s->bucket));
	if (s->bucket == NULL) {
		free(s);
		return (ERR_NOMEM);
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->closed, NULL);
	*out = s;
	return (ERR_OK);
}

static void
session_unlink(struct gw_sessions *s, struct fealty_session *se)
{
	*se->prev = se->next;
	if (se->next != NULL)
		se->next->prev = se->prev;
	se->next = NULL;
	se->prev = NULL;
	s->n--;
}

void
gw_sessions_free(struct gw_sessions **s)
{
	if (*s == NULL)
		return;
	for (uint32_t i = 0; i < (*s)->buckets; i++) {
		struct fealty_session *se;

		while ((se = (*s)->bucket[i]) != NULL) {
			session_unlink(*s, se);
			free(se);
		}
	}
	pthread_cond_destroy(&(*s)->closed);
	pthread_mutex_destroy(&(*s)->lock);
	free((*s)->bucket);
	free(*s);
	*s = NULL;
}

static enum err
insert(struct fealty_gateway *g, struct fealty_session *se, uint64_t *event)
{
	struct gw_sessions *s = g->sessions;
	struct fealty_session **b;
	struct claim cl;
	bool first = false;
	enum err e;

	gw_claim(&se->peer, &cl);
	pthread_mutex_lock(&s->lock);
	if (s->n >= s->max)
		e = ERR_BUSY;
	else if ((e = gw_judge(g, &cl, event)) == ERR_OK) {
		b = &s->bucket[se->peer.device_number % s->buckets];
		if ((se->next = *b) != NULL)
			se->next->prev = &se->next;
		se->prev = b;
		*b = se;
		s->n++;
		first = !s->any;
		s->any = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (first)
		receipts_have_sessions(g->receipts);
	return (e);
}

/* What is to be told of the oldest batches; under the lock. */
static bool
batches_over(struct gw_sessions *s, struct batch *told)
{
	struct batch *b = &s->batch[s->oldest % BATCHES];
	bool any = false;

	memset(told, 0, sizeof(*told));
	while (b->pos != 0 && b->live == 0) {
		told->pos = b->pos;
		told->closed += b->closed;
		if (told->heard_us == 0)
			told->heard_us = b->heard_us;
		any = true;
		memset(b, 0, sizeof(*b));
		if (s->oldest == s->newest)
			break;
		b = &s->batch[++s->oldest % BATCHES];
	}
	return (any);
}

static void
tell(struct fealty_gateway *g, const struct batch *told)
{
	receipts_note(g->receipts, told->pos, told->closed,
	    gw_tick_us() - told->heard_us);
}

/* The host has let go of one that an event ended; under the lock. */
static bool
let_go(struct gw_sessions *s, const struct fealty_session *se,
    struct batch *told)
{
	struct batch *b = &s->batch[se->batch % BATCHES];

	b->live--;
	b->closed++;
	return (batches_over(s, told));
}

void
gw_sessions_applied(struct fealty_gateway *g, uint64_t pos, int64_t heard_us)
{
	struct gw_sessions *s = g->sessions;
	struct batch told, *b;
	bool over;

	pthread_mutex_lock(&s->lock);
	b = &s->batch[s->newest % BATCHES];
	b->pos = pos;
	if (b->heard_us == 0)
		b->heard_us = heard_us;
	over = batches_over(s, &told);
	/* sessions of later events are of the next batch, if there is room */
	if (s->batch[s->newest % BATCHES].pos != 0 &&
	    s->newest - s->oldest < BATCHES - 1)
		s->newest++;
	pthread_mutex_unlock(&s->lock);
	if (over)
		tell(g, &told);
}

struct fealty_session *
fealty_session_register(struct fealty_gateway *g,
    const struct fealty_device *peer, fealty_close_fn *close_session, void *arg,
    struct fealty_decision *decision)
{
	struct fealty_decision unused;
	struct fealty_session *se = NULL;
	name_t name;
	struct freshness fresh;
	enum err e;

	if (decision == NULL)
		decision = &unused;
	memset(decision, 0, sizeof(*decision));
	decision->device = *peer;
	gw_look(g, &fresh);
	decision->staleness_ms = fresh.age;
	e = fresh.err;
	if (e == ERR_OK && peer->ngroups > FEALTY_GROUPS)
		e = ERR_REQUEST;
	if (e == ERR_OK && (se = calloc(1, sizeof(*se))) == NULL)
		e = ERR_NOMEM;
	if (e == ERR_OK) {
		se->peer = *peer;
		se->close_session = close_session;
		se->arg = arg;
		/* once in, it is the cutter's as well */
		e = insert(g, se, &decision->event);
	}
	if (e != ERR_OK) {
		free(se);
		se = NULL;
		e = gw_why_get(g->why, peer->device_number, decision->event,
		    e, name);
	}
	else
		gw_used_peer(g, peer);
	decision->stale = e == ERR_OK && fresh.stale;
	gw_refuse(decision, e, NULL);
	return (se);
}

void
fealty_session_unregister(struct fealty_gateway *g,
    struct fealty_session **session)
{
	struct gw_sessions *s = g->sessions;
	struct fealty_session *se = *session;
	bool mine = true, over = false;
	struct batch told;

	if (se == NULL)
		return;
	*session = NULL;
	pthread_mutex_lock(&s->lock);
	if (se->state == LIVE)
		session_unlink(s, se);
	else if (se->state == DOOMED || (se->state == CLOSING &&
	    pthread_equal(se->closer, pthread_self()))) {
		/* the cutter still has it in hand and frees it */
		se->forsaken = true;
		mine = false;
	} else {
		while (se->state == CLOSING)
			pthread_cond_wait(&s->closed, &s->lock);
		over = let_go(s, se, &told);
	}
	pthread_mutex_unlock(&s->lock);
	if (over)
		tell(g, &told);
	if (mine)
		free(se);
}

/*
 * A session has obeyed every event since it registered. So those below the
 * floor, which the set may have pruned, are behind it.
 */
static enum err
verdict(struct fealty_gateway *g, struct fealty_session *se)
{
	uint64_t floor = revset_floor(atomic_load(&g->set));
	struct claim cl;

	gw_claim(&se->peer, &cl);
	if (cl.pos < floor)
		cl.pos = floor;
	return (gw_judge(g, &cl, &se->event));
}

/* Takes the dead ones of a bucket out of the table. */
static void
doom(struct fealty_gateway *g, struct fealty_session *first, uint64_t dn,
    enum err all, struct fealty_session ***last)
{
	struct fealty_session *se, *next;

	for (se = first; se != NULL; se = next) {
		next = se->next;
		if (dn != 0 && se->peer.device_number != dn)
			continue;
		se->why = all != ERR_OK ? all : verdict(g, se);
		if (se->why == ERR_OK)
			continue;
		session_unlink(g->sessions, se);
		se->state = DOOMED;
		se->batch = g->sessions->newest;
		g->sessions->batch[se->batch % BATCHES].live++;
		**last = se;
		*last = &se->doomed;
	}
}

/* Calls the host for one; the session may be gone afterwards. */
static void
close_one(struct fealty_gateway *g, struct fealty_session *se)
{
	struct gw_sessions *s = g->sessions;
	bool forsaken, over = false;
	struct batch told;
	name_t name;
	enum err e;

	pthread_mutex_lock(&s->lock);
	if ((forsaken = se->forsaken))
		over = let_go(s, se, &told);
	else {
		se->state = CLOSING;
		se->closer = pthread_self();
	}
	pthread_mutex_unlock(&s->lock);
	if (!forsaken) {
		e = gw_why_get(g->why, se->peer.device_number, se->event,
		    se->why, name);
		se->close_session(se->arg, err_code(e), se->event);
		pthread_mutex_lock(&s->lock);
		se->state = CLOSED;
		if ((forsaken = se->forsaken))
			over = let_go(s, se, &told);
		pthread_cond_broadcast(&s->closed);
		pthread_mutex_unlock(&s->lock);
	}
	if (over)
		tell(g, &told);
	if (forsaken)
		free(se);
}

static void
cut(struct fealty_gateway *g, uint64_t dn, enum err all)
{
	struct gw_sessions *s = g->sessions;
	struct fealty_session *first = NULL, **last = &first, *se;

	pthread_mutex_lock(&s->lock);
	if (dn != 0)
		doom(g, s->bucket[dn % s->buckets], dn, all, &last);
	else
		for (uint32_t i = 0; i < s->buckets; i++)
			doom(g, s->bucket[i], 0, all, &last);
	pthread_mutex_unlock(&s->lock);
	while ((se = first) != NULL) {
		first = se->doomed;
		close_one(g, se);
	}
}

void
gw_sessions_cut(struct fealty_gateway *g, uint64_t dn, bool all)
{
	cut(g, dn, all ? ERR_TOKEN_FLOOR : ERR_OK);
}

void
gw_sessions_end(struct fealty_gateway *g, enum err why)
{
	cut(g, 0, why);
}
