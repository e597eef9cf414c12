/*
 * Issue against revocation, at two authd and two gateways of the library:
 * whatever an authd issues while it has not yet seen a revocation is refused
 * wherever the revocation has been seen; and what it issues having seen it is
 * accepted. By hand: tests/scenario/test_race --rounds 10000 [--seed N]
 */
#include "tests/scenario/race.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 1000
#define LIMIT 60
#define KEPT 64	    /* accepted tokens of earlier rounds */
#define KEPT_LOOK 8 /* of them, in each round */
#define KEY_EVERY 40

static struct world w, w2; /* w2: the same by the second authd */
static struct race race = {.w = {&w, &w2}};
static struct model model;
static struct minter minters[RACE_MINTERS];
static uint64_t groups[RACE_GROUPS];
static unsigned members[RACE_GROUPS], tenant_devices; /* what they hit */
static unsigned rounds = ROUNDS, seed, dice;
static struct minted kept[KEPT], newest; /* newest: good to the next event */
static size_t nkept;

static struct {
	unsigned long tokens, accepted, refused, raced, late, newer;
	unsigned long raced_at_once, early, revived, by_kind[T_KINDS];
} count;

/* ---- the world ---- */

static void
open_gateway(unsigned i, const char *enrolment)
{
	const char *url = authd_fixture_url(race.w[i]->authd);
	struct fealty_options o = FEALTY_OPTIONS_INIT;
	char reason[FEALTY_REASON];

	o.enrolment_file = enrolment;
	o.urls = &url;
	o.nurls = 1;
	race.gateway[i] = fealty_gateway_open(&o, reason, sizeof(reason));
	if (race.gateway[i] == NULL)
		fail_msg("gateway: %s", reason);
}

static void
make_group(unsigned i)
{
	char body[64], path[100], *p;
	unsigned d;

	(void)snprintf(body, sizeof(body), "{\"name\":\"race%u\"}", i);
	assert_int_equal(world_http(&w, "POST", "/v1/groups", w.admin, body),
	    201);
	assert_non_null(p = strstr(w.a.body, "\"number\":"));
	groups[i] = strtoull(p + 9, NULL, 10);
	for (d = i; d < RACE_DEVICES; d += i + 2) {
		(void)snprintf(path, sizeof(path), "/v1/groups/%llu/devices/"
		    "%s", (unsigned long long)groups[i], race.device[d].name);
		assert_int_equal(world_http(&w, "PUT", path, w.admin, "{}"),
		    200);
		members[i]++;
	}
}

static void
make_device(unsigned i)
{
	struct race_device *d = &race.device[i];
	char name[ROOM], path[ROOM], *p;

	(void)snprintf(d->name, sizeof(d->name), "SN%04u", i + 1);
	world_burn(&w, d->name);
	(void)snprintf(name, sizeof(name), "burned/%s.cbor", d->name);
	assert_int_equal(psk_device_read(world_file(&w, name, path),
	    &d->key), 0);
	(void)snprintf(path, sizeof(path), "/v1/devices/%s", d->name);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	assert_non_null(p = strstr(w.a.body, "\"number\":"));
	d->dn = strtoull(p + 9, NULL, 10);
}

static int
set_up(void **state)
{
	static const char *const first[] = {"--issuer", ISSUER, NULL};
	/* It hears of the other's events some time later. */
	static const char *const second[] = {"--issuer", ISSUER,
	    "--no-notify", "--poll-interval", "10ms", NULL};
	char enrolment[ROOM];
	unsigned i;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	world_open(&w, first);
	world_order(&w, RACE_DEVICES);
	w2 = w;
	w2.owner = 0;
	assert_int_equal(authd_fixture_second(w.authd, second, &w2.authd), 0);
	for (i = 0; i < RACE_DEVICES; i++)
		make_device(i);
	for (i = 0; i < RACE_GROUPS; i++)
		make_group(i);
	CTL(&w, "caller", "create", "hub2", "--role", "gateway",
	    "--audiences", "hub", "--enrolment-out",
	    world_file(&w, "enrolment", enrolment));
	for (i = 0; i < RACE_AUTHDS; i++)
		open_gateway(i, enrolment);
	for (i = 0; i < RACE_MINTERS; i++)
		minters[i] = (struct minter){.race = &race, .by = i % 2,
		    .assertions = i / 2 != 0, .seed = seed + 1000 + i};
	return 0;
}

static int
tear_down(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < RACE_MINTERS; i++)
		minter_close(&minters[i]);
	for (i = 0; i < RACE_AUTHDS; i++)
		fealty_gateway_close(&race.gateway[i]);
	authd_fixture_stop(&w2.authd);
	world_close(&w);
	free(model.events);
	return 0;
}

/* ---- the admin ---- */

static unsigned
roll(unsigned n)
{
	return (unsigned)rand_r(&dice) % n;
}

/* Does it, at the authd that e says; its position is in e then. 0 done. */
static int
order(struct told *e)
{
	static const char *const kinds[] = {"device", "group", "tenant",
	    "token", "signing-key"};
	static const char *const effects[] = {"cut", "block", "lift"};
	char body[256];
	const char *p;

	(void)snprintf(body, sizeof(body), "{\"kind\":\"%s\",\"id\":\"%s\","
	    "\"effect\":\"%s\",\"expect\":%u}", kinds[e->kind], e->id,
	    effects[e->effect], e->hit);
	e->round = race.round;
	e->sent = race_now();
	if (world_http(race.w[e->at], "POST", "/v1/revocations", w.admin,
	    body) != 201)
		return -1;
	e->acked = race_now();
	p = strstr(race.w[e->at]->a.body, "\"pos\":");
	if (p == NULL)
		return -1;
	e->pos = strtoull(p + 6, NULL, 10);
	return model_add(&model, e);
}

static void
ordered(const struct told *e, int r)
{
	if (r != 0)
		fail_msg("seed %u round %u: kind %d effect %d of %s: %d %s",
		    seed, race.round, (int)e->kind, (int)e->effect, e->id,
		    race.w[e->at]->a.status, race.w[e->at]->a.body);
}

static void
choose_group(struct told *e)
{
	unsigned g = roll(RACE_GROUPS), d;

	e->number = groups[g];
	e->hit = members[g];
	(void)snprintf(e->id, sizeof(e->id), "%llu",
	    (unsigned long long)groups[g]);
	for (d = g; d < RACE_DEVICES; d += g + 2)
		race.named |= 1U << d;
}

static void
choose_device(struct told *e)
{
	unsigned d = roll(RACE_DEVICES);

	e->number = race.device[d].dn;
	(void)snprintf(e->id, sizeof(e->id), "%s", race.device[d].name);
	race.named = 1U << d;
}

static void
choose_mass(struct told *e)
{
	e->hit = tenant_devices;
	race.named = (1U << RACE_DEVICES) - 1;
}

/* One that is good: its id, or its key's. */
static void
choose_token(struct told *e)
{
	const struct minted *t = &newest;

	memcpy(e->id, e->kind == T_KEY ? t->kid : t->jti, sizeof(e->id));
	if (e->kind == T_KEY)
		choose_mass(e);
	else
		race.named = 1U << t->device;
}

static void
choose(struct told *e)
{
	static const int of[] = {T_DEVICE, T_DEVICE, T_DEVICE, T_DEVICE,
	    T_GROUP, T_GROUP, T_GROUP, T_TENANT, T_TOKEN, T_TOKEN};

	memset(e, 0, sizeof(*e));
	race.named = 0;
	e->at = roll(RACE_AUTHDS);
	e->hit = 1;
	e->kind = of[roll(COUNT(of))];
	if (race.round % KEY_EVERY == KEY_EVERY - 1)
		e->kind = T_KEY;
	if (newest.pos == 0 && e->kind >= T_TOKEN)
		e->kind = T_DEVICE;
	if (e->kind < T_TOKEN)
		e->effect = roll(3) == 0 ? T_BLOCK : T_CUT;
	if (e->kind == T_DEVICE)
		choose_device(e);
	else if (e->kind == T_GROUP)
		choose_group(e);
	else if (e->kind == T_TENANT)
		choose_mass(e);
	else
		choose_token(e);
	race.may_refuse = e->effect == T_BLOCK;
	count.by_kind[e->kind]++;
}

/* ---- what the gateways say, against the model ---- */

static void
wrong(const struct minted *t, unsigned gateway, const struct verdict *v,
    const char *what)
{
	fail_msg("seed %u round %u: %s: gateway %u at %llu said %s to a token "
	    "of round %u, device %u, authd %u, pos %llu, jti %s", seed,
	    race.round, what, gateway, (unsigned long long)v->before, v->code,
	    t->round, t->device, t->by, (unsigned long long)t->pos, t->jti);
}

/* Nothing happens now, so both ways are certain. */
static int
judge(const struct minted *t)
{
	struct verdict v;
	unsigned i;
	int dead = 0;

	for (i = 0; i < RACE_AUTHDS; i++) {
		race_check(&race, i, t, &v);
		dead = model_dead(&model, t, v.before);
		if (v.accepted && dead)
			wrong(t, i, &v, "ACCEPTED THOUGH REVOKED");
		if (!v.accepted && !dead)
			wrong(t, i, &v, "refused though good");
	}
	if (dead)
		count.refused++;
	else
		count.accepted++;
	return !dead;
}

/* The answer it had in the middle of it all. */
static void
judge_first(const struct minted *t, const struct told *e)
{
	unsigned i;

	if (model_unissuable(&model, t))
		wrong(t, t->by, &t->first[t->by], "issued under a block");
	for (i = 0; i < RACE_AUTHDS; i++) {
		if (t->first[i].accepted &&
		    model_dead(&model, t, t->first[i].before))
			wrong(t, i, &t->first[i], "RACED AND ACCEPTED");
		count.early += (unsigned)t->first[i].accepted;
	}
	if (!model_names(e, t) || e->kind == T_TOKEN)
		return;
	if (t->pos >= e->pos && e->kind != T_KEY)
		count.newer++;
	if (t->got <= e->sent || !model_dead(&model, t, e->pos))
		return;
	/* under way at the same time, by one who had not seen it */
	count.raced++;
	for (i = 0; i < RACE_AUTHDS; i++)
		count.raced_at_once += !t->first[i].accepted;
	/* even: asked for when the admin had his answer */
	count.late += t->asked > e->acked;
}

static void
keep(const struct minted *t)
{
	if (nkept < KEPT)
		kept[nkept++] = *t;
	else
		kept[roll(KEPT)] = *t;
}

static void
judge_all(const struct told *e)
{
	unsigned i;
	size_t k;

	for (i = 0; i < RACE_MINTERS; i++)
		for (k = 0; k < minters[i].n; k++) {
			judge_first(&minters[i].got[k], e);
			if (judge(&minters[i].got[k]) && k == 0)
				keep(&minters[i].got[k]);
			count.tokens++;
		}
	for (i = 0; i < KEPT_LOOK && nkept > 0; i++)
		(void)judge(&kept[roll((unsigned)nkept)]);
}

static void
until_seen(uint64_t pos)
{
	long deadline = process_deadline(LIMIT);
	unsigned i;

	for (i = 0; i < RACE_AUTHDS; i++)
		while (fealty_gateway_position(race.gateway[i]) < pos) {
			if (!process_left(deadline))
				fail_msg("seed %u round %u: gateway %u is "
				    "not at %llu", seed, race.round, i,
				    (unsigned long long)pos);
			(void)usleep(500);
		}
}

/* ---- rounds ---- */

static pthread_barrier_t begin, end;
static atomic_int stop;

static void *
minter_main(void *arg)
{
	for (;;) {
		(void)pthread_barrier_wait(&begin);
		if (atomic_load(&stop))
			return NULL;
		minter_round(arg);
		(void)pthread_barrier_wait(&end);
	}
}

static void
no_fault(const struct minter *m)
{
	if (m->fault[0] != '\0')
		fail_msg("seed %u round %u: authd %u, %s: %s", seed,
		    race.round, m->by, m->assertions ? "assertion" :
		    "listener", m->fault);
}

/* What is obtained once it was seen is good, at both. */
static void
comes_back(const struct told *e)
{
	long deadline = process_deadline(LIMIT);
	struct minter *m;
	unsigned i, d;

	for (d = 0; !(race.named & 1U << d);)
		d++;
	for (i = 0; i < RACE_MINTERS; i++) {
		m = &minters[i];
		m->n = 0;
		while (m->n == 0 || m->got[0].pos < e->pos ||
		    (e->kind == T_KEY && model_names(e, &m->got[0]))) {
			m->n = 0;
			if (!process_left(deadline))
				fail_msg("seed %u round %u: authd %u gives "
				    "nothing newer: %d %s", seed, race.round,
				    m->by, m->a.status, m->a.body);
			(void)minter_mint(m, d);
			no_fault(m);
		}
		if (!judge(&m->got[0]))
			fail_msg("seed %u round %u: dead on arrival", seed,
			    race.round);
		count.revived++;
	}
	newest = minters[roll(RACE_MINTERS)].got[0];
}

static void
round_of(unsigned number)
{
	struct told e;
	unsigned i;
	int r;

	race.round = number;
	choose(&e);
	atomic_store(&race.acked, 0);
	(void)pthread_barrier_wait(&begin);
	(void)usleep(roll(4000));
	/* no failure here: the others are under way */
	r = order(&e);
	atomic_store(&race.acked, 1);
	(void)pthread_barrier_wait(&end);
	ordered(&e, r);
	for (i = 0; i < RACE_MINTERS; i++)
		no_fault(&minters[i]);
	until_seen(e.pos);
	judge_all(&e);
	if (e.effect == T_BLOCK) {
		e.effect = T_LIFT;
		e.at = roll(RACE_AUTHDS);
		ordered(&e, order(&e));
		until_seen(e.pos);
		/* the block ends, the cut stays */
		for (i = 0; i < RACE_MINTERS; i++)
			if (minters[i].n > 0)
				(void)judge(&minters[i].got[0]);
	}
	comes_back(&e);
}

static void
show_counts(double seconds)
{
	unsigned long refused = 0, away = 0;
	unsigned i;

	for (i = 0; i < RACE_MINTERS; i++) {
		refused += minters[i].refused;
		away += minters[i].away;
	}
	print_message("# %u rounds in %.1f s: device %lu group %lu tenant "
	    "%lu token %lu key %lu\n", rounds, seconds, count.by_kind[0],
	    count.by_kind[1], count.by_kind[2], count.by_kind[3],
	    count.by_kind[4]);
	print_message("# %lu tokens; not issued %lu, to be tried again %lu\n",
	    count.tokens, refused, away);
	print_message("# raced %lu, of them asked for after the answer to the "
	    "admin %lu; refused while it raced %lu\n", count.raced,
	    count.late, count.raced_at_once);
	print_message("# in the end: accepted %lu, refused %lu, of the "
	    "revoked's newer ones accepted %lu\n", count.accepted,
	    count.refused, count.newer + count.revived);
	assert_true(count.accepted > 0 && count.refused > 0);
	assert_true(count.raced > 0 && count.late > 0);
	assert_true(count.raced_at_once > 0 && count.early > 0);
	assert_true(count.newer > 0 && count.revived >= rounds);
	assert_true(refused > 0);
	for (i = 0; i < T_KINDS; i++)
		assert_true(rounds < 100 || count.by_kind[i] > 0);
}

static void
what_is_issued_unaware_is_refused_by_who_is_aware(void **state)
{
	pthread_t threads[RACE_MINTERS];
	int64_t from = race_now();
	unsigned i;

	(void)state;
	print_message("# seed %u\n", seed);
	dice = seed;
	assert_int_equal(world_http(&w, "POST", "/v1/revocations", w.admin,
	    "{\"kind\":\"tenant\",\"id\":\"\",\"effect\":\"cut\","
	    "\"dry_run\":true}"), 200);
	tenant_devices = (unsigned)strtoul(strstr(w.a.body, "\"devices\":") +
	    10, NULL, 10);
	assert_int_equal(tenant_devices, RACE_DEVICES);
	(void)pthread_barrier_init(&begin, NULL, RACE_MINTERS + 1);
	(void)pthread_barrier_init(&end, NULL, RACE_MINTERS + 1);
	for (i = 0; i < RACE_MINTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    minter_main, &minters[i]), 0);
	for (i = 0; i < rounds; i++)
		round_of(i);
	atomic_store(&stop, 1);
	(void)pthread_barrier_wait(&begin);
	for (i = 0; i < RACE_MINTERS; i++)
		(void)pthread_join(threads[i], NULL);
	show_counts((double)(race_now() - from) / 1e9);
}

static void
arguments(int argc, char **argv)
{
	const char *given = getenv("FEALTY_TEST_SEED");
	int i;

	seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) :
	    (unsigned)time(NULL);
	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rounds") == 0)
			rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		what_is_issued_unaware_is_refused_by_who_is_aware),
	};

	arguments(argc, argv);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
