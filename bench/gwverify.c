/*
 * How fast libfealty-gateway judges tokens, on one core: first-seen ones
 * beside the bare ES256 verification of the same tokens, seen ones in random
 * order while events arrive, and what a large revocation set takes. The
 * public fealty_token_check is what is called; the gateway itself is put
 * together from the library's parts, since no authority is to be waited for.
 * Time is the process's own on its one core, with that of the events: what
 * else the machine does meanwhile is not counted.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/gwverify.h"
#include "bench/stats.h"
#include "gateway/gw_int.h"
#include "lib/base/b64url.h"
#include "lib/base/opt.h"

#define ISSUER "https://authority.example"
#define AUDIENCE "hub"
#define TENANT 1
#define SPREAD 4 /* places in the cache for each token: sets seldom overflow */
#define EVENT_US 10000 /* 100 a second */
#define ROUND 500      /* tokens of one turn, bare and checked in turn */

struct token {
	char *text;
	size_t len;
	uint64_t dn;
};
struct bench {
	struct options {
		uint64_t tokens, entries, devices, seconds_ms;
		int help;
	} o;
	struct signer *signer;
	struct verifier *verifier;
	struct fealty_gateway g;
	struct token *token;
	uint32_t *order;
	char *received; /* the texts of asked, in this order */
	struct token *asked;
	_Atomic int stop;
	uint64_t applied;
	int64_t bare_us, first_us;
	double seen_rate;
};

/* As authd issues them. */
static enum err
make_token(struct bench *b, size_t i, struct token *t)
{
	struct token_claims c = {.iss = ISSUER, .aud = {AUDIENCE}, .naud = 1,
	    .scope = "device", .tid = TENANT, .dn = i + 1, .ep = 1,
	    .grp = {1, 2}, .ngrp = 2, .pos = b->o.entries};
	struct buf out = {.max = TOKEN_MAX};
	enum err e;

	c.iat = (int64_t)time(NULL);
	c.exp = c.iat + TOKEN_LIFE;
	(void)snprintf(c.sub, sizeof(c.sub), "sensor-%08zu", i);
	(void)snprintf(c.jti, sizeof(c.jti), "%022zu", i);
	e = token_sign(b->signer, &c, &out);
	if (e == ERR_OK) {
		t->dn = c.dn;
		t->text = out.p;
		t->len = out.len;
	}
	return e;
}

/* entries devices were cut before the tokens, theirs among them. */
static enum err
make_set(uint64_t entries, struct revset **out)
{
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_CUT};
	enum err e;
	uint64_t i;

	e = revset_new(TENANT, out);
	for (i = 1; e == ERR_OK && i <= entries; i++) {
		ev.pos = i;
		(void)snprintf(ev.id, sizeof(ev.id), "%llu",
		    (unsigned long long)i);
		e = revset_apply(*out, &ev, 1);
	}
	return e;
}

static enum err
make_gateway(struct bench *b)
{
	struct fealty_gateway *g = &b->g;
	struct es256_public pub;
	struct revset *set = NULL;
	enum err e;

	memcpy(g->audience, AUDIENCE, sizeof(AUDIENCE));
	memcpy(g->issuer, ISSUER, sizeof(ISSUER));
	g->max_stale_ms = UINT32_MAX;
	g->clock = &clock_coarse;
	atomic_store(&g->heard, gw_now(g));
	atomic_store(&g->tenant, TENANT);
	(void)pthread_rwlock_init(&g->keys_lock, NULL);
	(void)pthread_mutex_init(&g->feed_lock, NULL);
	signer_public(b->signer, &pub);
	e = verifier_new(&pub, &b->verifier);
	if (e == ERR_OK)
		e = jwks_new(&g->jwks);
	if (e == ERR_OK)
		e = jwks_add(g->jwks, &pub);
	if (e == ERR_OK)
		e = gw_why_new(&g->why);
	if (e == ERR_OK)
		e = gw_cache_new(1024, &g->cache);
	if (e == ERR_OK)
		e = gw_sessions_new(1024, &g->sessions);
	if (e == ERR_OK)
		e = token_cache_new(b->o.tokens * SPREAD,
		    sizeof(struct gw_seen), &g->tokens);
	if (e == ERR_OK)
		e = make_set(b->o.entries, &set);
	if (e == ERR_OK)
		token_cache_large_pages(g->tokens);
	atomic_store(&g->set, set);
	return e;
}

/*
 * What a host asks about it has just received, so it lies in the processor's
 * cache. These lie one behind the other in the order in which they are asked
 * about, as in a buffer that is received into.
 */
static int
receive(struct bench *b)
{
	size_t i, len = 0;
	struct token *t;
	char *to;

	for (i = 0; i < b->o.tokens; i++)
		len += b->token[i].len;
	b->asked = calloc(b->o.tokens, sizeof(*b->asked));
	b->received = to = malloc(len);
	if (b->asked == NULL || to == NULL)
		return -1;
	for (i = 0; i < b->o.tokens; i++) {
		t = &b->asked[i];
		*t = b->token[b->order[i]];
		t->text = memcpy(to, t->text, t->len);
		to += t->len;
	}
	return 0;
}

static int
make(struct bench *b)
{
	uint32_t seed = 1, other, was;
	size_t i, n = b->o.tokens;

	b->token = calloc(n, sizeof(*b->token));
	b->order = calloc(n, sizeof(*b->order));
	if (b->token == NULL || b->order == NULL ||
	    signer_generate(&b->signer) != ERR_OK || make_gateway(b) != ERR_OK)
		return -1;
	for (i = 0; i < n; i++) {
		if (make_token(b, i, &b->token[i]) != ERR_OK)
			return -1;
		b->order[i] = (uint32_t)i;
	}
	for (i = n; i > 1; i--) {
		seed = seed * 1664525 + 1013904223;
		other = (uint32_t)(((uint64_t)seed * i) >> 32);
		was = b->order[i - 1];
		b->order[i - 1] = b->order[other];
		b->order[other] = was;
	}
	return receive(b);
}

static int
judged(struct bench *b, const struct token *t)
{
	struct fealty_decision d;

	if (fealty_token_check(&b->g, t->text, t->len, NULL, 0, &d) == 1 &&
	    d.device.device_number == t->dn)
		return 0;
	fprintf(stderr, "token %llu: %s: %s\n", (unsigned long long)t->dn,
	    d.code, d.reason);
	return -1;
}

static int
check(struct bench *b, size_t i)
{
	return judged(b, &b->token[i]);
}

/* As if the one after the next came in now. */
static void
coming(const struct token *t)
{
	size_t i;

	for (i = 0; i < t->len; i += 64)
		__builtin_prefetch(t->text + i);
}

/* Nothing but the signature over the same octets. */
static int
bare(struct bench *b, size_t i)
{
	unsigned char sig[ES256_SIG_LEN];
	const struct token *t = &b->token[i];
	const char *dot = strrchr(t->text, '.');

	return b64url_decode_exact(dot + 1,
		   t->len - (size_t)(dot + 1 - t->text), sig,
		   sizeof(sig)) == ERR_OK &&
			   verifier_verify(b->verifier, t->text,
			       (size_t)(dot - t->text), sig) == ERR_OK
		   ? 0
		   : -1;
}

static int64_t
spent_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int
turn(struct bench *b, int (*fn)(struct bench *, size_t), size_t from,
    size_t to, int64_t *us)
{
	int64_t begun = spent_us();
	size_t i;

	for (i = from; i < to; i++)
		if (fn(b, i) != 0)
			return -1;
	*us += spent_us() - begun;
	return 0;
}

/* In turns, so that what else the machine does hits both alike. */
static int
first_seen(struct bench *b)
{
	size_t i, to;

	for (i = 0; i < b->o.tokens; i = to) {
		to = i + ROUND < b->o.tokens ? i + ROUND : b->o.tokens;
		if (turn(b, bare, i, to, &b->bare_us) != 0 ||
		    turn(b, check, i, to, &b->first_us) != 0)
			return -1;
	}
	return 0;
}

/* Events about devices beyond all that have tokens. */
static void *
events(void *arg)
{
	const struct timespec pause = {.tv_nsec = EVENT_US * 1000};
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_BLOCK};
	struct bench *b = arg;

	ev.pos = b->o.entries;
	while (!atomic_load(&b->stop)) {
		ev.pos++;
		(void)snprintf(ev.id, sizeof(ev.id), "%llu",
		    (unsigned long long)(b->o.tokens + ev.pos));
		if (gw_apply(&b->g, &ev, 1) != ERR_OK)
			break;
		b->applied++;
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

static int
seen(struct bench *b)
{
	int64_t begun, took = 0, most = (int64_t)b->o.seconds_ms * 1000;
	uint64_t n = 0;
	pthread_t thread;
	int rc = 0;
	size_t i;

	if (pthread_create(&thread, NULL, events, b) != 0)
		return -1;
	for (begun = spent_us(); rc == 0 && took < most;
	     took = spent_us() - begun)
		for (i = 0; rc == 0 && i < b->o.tokens; i++, n++) {
			coming(&b->asked[i + 2 < b->o.tokens ? i + 2 : 0]);
			rc = judged(b, &b->asked[i]);
		}
	atomic_store(&b->stop, 1);
	(void)pthread_join(thread, NULL);
	b->seen_rate = (double)n * 1e6 / (double)took;
	if (b->applied * 1000 * 2 < b->o.seconds_ms * 100) {
		fprintf(stderr, "only %llu events arrived\n",
		    (unsigned long long)b->applied);
		rc = -1;
	}
	return rc;
}

static int
one_core(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static void
end(struct bench *b)
{
	struct revset *set = atomic_load(&b->g.set);
	size_t i;

	for (i = 0; b->token != NULL && i < b->o.tokens; i++)
		free(b->token[i].text);
	free(b->received);
	free(b->asked);
	free(b->token);
	free(b->order);
	token_cache_free(&b->g.tokens);
	gw_sessions_free(&b->g.sessions);
	gw_cache_free(&b->g.cache);
	gw_why_free(&b->g.why);
	jwks_free(&b->g.jwks);
	verifier_free(&b->verifier);
	signer_free(&b->signer);
	revset_free(&set);
}

#define O(m) offsetof(struct options, m)
static const struct opt table[] = {
    {"tokens", 0, OPT_NUMBER, "N", "distinct ones", O(tokens), 1000000,
	"100000"},
    {"entries", 0, OPT_NUMBER, "N", "in the set", O(entries), 10000000,
	"100000"},
    {"devices", 0, OPT_NUMBER, "N", "in the large set", O(devices), 10000000,
	"1000000"},
    {"seconds", 0, OPT_DURATION, "TIME", "of seen tokens", O(seconds_ms),
	3600000, "5s"},
    {"help", 'h', OPT_FLAG, NULL, "show this help", O(help), 0, NULL},
};
#undef O

int
main(int argc, char **argv)
{
	static struct bench b;
	struct set_memory m;
	struct detail d = {""};
	int rest, rc = 1;

	if (opt_parse(table, sizeof(table) / sizeof(table[0]), NULL, argc, argv,
		&b.o, &rest, &d) != ERR_OK ||
	    b.o.help || b.o.tokens == 0) {
		fprintf(stderr, "gwverify: %s\n", d.text);
		opt_help(table, sizeof(table) / sizeof(table[0]));
		return 2;
	}
	if (one_core() == 0 && set_memory(b.o.devices, &m) == 0 &&
	    make(&b) == 0 && first_seen(&b) == 0 && seen(&b) == 0) {
		printf("{\"bare\":%.0f,\"first\":%.0f,\"seen\":%.0f,"
		       "\"events\":%llu,\"steady_mib\":%.1f,"
		       "\"growing_mib\":%.1f}\n",
		    (double)b.o.tokens * 1e6 / (double)b.bare_us,
		    (double)b.o.tokens * 1e6 / (double)b.first_us, b.seen_rate,
		    (unsigned long long)b.applied, m.steady_mib,
		    m.growing_mib);
		rc = 0;
	}
	end(&b);
	return rc;
}
