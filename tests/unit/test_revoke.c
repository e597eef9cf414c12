/*
 * The revocation set: the rule held against a model that keeps the whole
 * history, its ranking, its size, and readers beside a writer.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/revoke/revset.h"

#define TENANT 7

static uint64_t rng;

static uint64_t
rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static struct event
event(uint64_t pos, enum event_kind kind, enum event_effect effect,
    const char *id)
{
	struct event e = {.pos = pos, .kind = kind, .effect = effect};

	(void)snprintf(e.id, sizeof(e.id), "%s", id);
	return e;
}

static enum err
apply(struct revset *s, uint64_t pos, enum event_kind kind,
    enum event_effect effect, const char *id)
{
	struct event e = event(pos, kind, effect, id);

	return revset_apply(s, &e, 1);
}

static enum err
check(const struct revset *s, uint64_t dn, uint32_t epoch, uint64_t pos)
{
	struct claim c = {.dn = dn, .epoch = epoch, .pos = pos};

	return revset_check(s, &c, NULL);
}

/* The naive model: every event there ever was. */
struct history {
	struct event ev[400];
	size_t n;
};

static int
names(const struct event *e, const struct claim *c)
{
	char t[24];
	uint32_t i;

	switch (e->kind) {
	case EV_DEVICE:
		return event_number(e) == c->dn &&
		    (e->ep_max == 0 || c->epoch <= e->ep_max);
	case EV_GROUP:
		for (i = 0; i < c->ngroups; i++)
			if (c->groups[i] == event_number(e))
				return 1;
		return 0;
	case EV_TENANT:
		(void)snprintf(t, sizeof(t), "%d", TENANT);
		return strcmp(e->id, t) == 0;
	default:
		return 0;
	}
}

/* Is the block e lifted by a later event? */
static int
lifted(const struct history *h, size_t i)
{
	const struct event *b = &h->ev[i], *l;
	size_t j;

	for (j = i + 1; j < h->n; j++) {
		l = &h->ev[j];
		if (l->effect != EFFECT_LIFT || l->kind != b->kind ||
		    strcmp(l->id, b->id) != 0)
			continue;
		if (l->ep_max == 0 ||
		    (b->ep_max != 0 && b->ep_max <= l->ep_max))
			return 1;
	}
	return 0;
}

static enum err
block_code(enum event_kind k)
{
	return k == EV_TENANT ? ERR_TENANT_BLOCKED :
	    k == EV_GROUP ? ERR_GROUP_BLOCKED : ERR_DEVICE_BLOCKED;
}

/* Smaller is stricter. */
static int
rank(enum err e)
{
	static const enum err order[] = {ERR_TOKEN_KEY, ERR_TENANT_BLOCKED,
	    ERR_GROUP_BLOCKED, ERR_DEVICE_BLOCKED, ERR_TOKEN_CUT,
	    ERR_TOKEN_REVOKED, ERR_TOKEN_FLOOR, ERR_AHEAD, ERR_OK};
	int i;

	for (i = 0; order[i] != ERR_OK && order[i] != e; i++)
		;
	return i;
}

static void
stricter(enum err *worst, enum err e)
{
	if (rank(e) < rank(*worst))
		*worst = e;
}

static enum err
model_check(const struct history *h, const struct claim *c, uint64_t floor)
{
	enum err worst = ERR_OK;
	const struct event *e;
	size_t i;

	for (i = 0; i < h->n; i++) {
		e = &h->ev[i];
		if (e->kind == EV_SIGNING_KEY && strcmp(e->id, c->kid) == 0)
			stricter(&worst, ERR_TOKEN_KEY);
		if (e->kind == EV_TOKEN && strcmp(e->id, c->jti) == 0)
			stricter(&worst, ERR_TOKEN_REVOKED);
		if (e->effect == EFFECT_LIFT || !names(e, c))
			continue;
		if (e->pos > c->pos)
			stricter(&worst, ERR_TOKEN_CUT);
		if (e->effect == EFFECT_BLOCK && !lifted(h, i))
			stricter(&worst, block_code(e->kind));
	}
	if (c->pos < floor)
		stricter(&worst, ERR_TOKEN_FLOOR);
	if (h->n > 0 && c->pos > h->ev[h->n - 1].pos)
		stricter(&worst, ERR_AHEAD);
	return worst;
}

static struct event
random_event(uint64_t pos)
{
	static const enum event_kind kinds[] = {EV_DEVICE, EV_DEVICE,
	    EV_DEVICE, EV_GROUP, EV_TENANT, EV_TOKEN, EV_SIGNING_KEY};
	struct event e = {.pos = pos};

	e.kind = kinds[rnd(7)];
	e.effect = (enum event_effect)(EFFECT_CUT + rnd(3));
	(void)snprintf(e.id, sizeof(e.id), "%d", (int)rnd(5) + 1);
	if (e.kind == EV_TENANT)
		(void)snprintf(e.id, sizeof(e.id), "%d",
		    rnd(3) == 0 ? TENANT : TENANT + 1);
	if (e.kind == EV_DEVICE && rnd(2) == 0)
		e.ep_max = (uint32_t)rnd(4) + 1;
	/* Those two are never lifted: keep them rare. */
	if (e.kind == EV_TOKEN || e.kind == EV_SIGNING_KEY) {
		e.effect = EFFECT_CUT;
		(void)snprintf(e.id, sizeof(e.id), "%d", (int)rnd(40) + 1);
	}
	return e;
}

static void
compare(const struct revset *s, const struct history *h, uint64_t seed)
{
	uint32_t groups[2] = {(uint32_t)rnd(6) + 1, (uint32_t)rnd(6) + 1};
	uint64_t head = revset_position(s), floor = revset_floor(s);
	char jti[24], kid[24];
	struct claim c = {.dn = rnd(6) + 1, .epoch = (uint32_t)rnd(6) + 1,
	    .groups = groups, .ngroups = (uint32_t)rnd(3), .jti = jti,
	    .kid = kid, .pos = rnd(head + 3)};
	enum err want, got;

	(void)snprintf(jti, sizeof(jti), "%d", (int)rnd(60) + 1);
	(void)snprintf(kid, sizeof(kid), "%d", (int)rnd(60) + 1);
	want = model_check(h, &c, floor);
	got = revset_check(s, &c, NULL);
	/* What the floor kills needs no older reason; a jti may be pruned. */
	if (c.pos < floor && rank(want) >= rank(ERR_TOKEN_CUT) &&
	    rank(got) >= rank(ERR_TOKEN_CUT) && got != ERR_OK &&
	    got != ERR_AHEAD)
		return;
	/* No expiry given, and the floor has passed it: forgotten. */
	if (rank(got) > rank(want) && want == ERR_TOKEN_REVOKED && floor > 0)
		return;
	if (got != want)
		print_error("seed %llu: dn %llu ep %u pos %llu of %llu\n",
		    (unsigned long long)seed, (unsigned long long)c.dn,
		    c.epoch, (unsigned long long)c.pos,
		    (unsigned long long)head);
	assert_string_equal(err_name(got), err_name(want));
}

static void
one_history(uint64_t seed)
{
	struct revset *s = NULL;
	struct history h = {.n = 0};
	uint64_t pos = 0;
	int i, with_floor;

	rng = seed;
	with_floor = (int)rnd(2);
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	while (h.n < 60) {
		pos += 1 + rnd(3);
		h.ev[h.n] = random_event(pos);
		assert_int_equal(revset_apply(s, &h.ev[h.n], 1), ERR_OK);
		h.n++;
		assert_int_equal(revset_position(s), pos);
		if (with_floor && rnd(10) == 0)
			revset_advance(s, 0, rnd(pos + 1));
		if (rnd(8) == 0)
			revset_expire(s, 1000);
		for (i = 0; i < 12; i++)
			compare(s, &h, seed);
	}
	revset_free(&s);
}

static void
any_history_gives_what_the_whole_of_it_says(void **state)
{
	uint64_t seed = (uint64_t)time(NULL) * 2654435761u + 1;
	int i;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < 400; i++)
		one_history(seed + (uint64_t)i * 7919);
}

static void
the_strictest_reason_is_told_first(void **state)
{
	struct revset *s = NULL;
	uint32_t g = 3;
	uint64_t by = 99;
	struct claim c = {.dn = 1, .epoch = 1, .groups = &g, .ngroups = 1,
	    .jti = "j", .kid = "k", .pos = 4};

	(void)state;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_AHEAD);
	assert_int_equal(by, 0);
	revset_advance(s, 9, 0);
	assert_int_equal(revset_check(s, &c, &by), ERR_OK);
	revset_advance(s, 9, 5);
	assert_int_equal(revset_check(s, &c, &by), ERR_TOKEN_FLOOR);
	assert_int_equal(apply(s, 10, EV_TOKEN, EFFECT_CUT, "j"), ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_TOKEN_REVOKED);
	assert_int_equal(by, 10);
	assert_int_equal(apply(s, 11, EV_DEVICE, EFFECT_CUT, "1"), ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_TOKEN_CUT);
	assert_int_equal(apply(s, 12, EV_DEVICE, EFFECT_BLOCK, "1"), ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_DEVICE_BLOCKED);
	assert_int_equal(apply(s, 13, EV_GROUP, EFFECT_BLOCK, "3"), ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_GROUP_BLOCKED);
	assert_int_equal(apply(s, 14, EV_TENANT, EFFECT_BLOCK, "7"), ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_TENANT_BLOCKED);
	assert_int_equal(apply(s, 15, EV_SIGNING_KEY, EFFECT_CUT, "k"),
	    ERR_OK);
	assert_int_equal(revset_check(s, &c, &by), ERR_TOKEN_KEY);
	assert_int_equal(by, 15);
	revset_free(&s);
}

static void
a_lift_lets_the_new_in_and_keeps_the_old_out(void **state)
{
	struct revset *s = NULL;

	(void)state;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(apply(s, 5, EV_DEVICE, EFFECT_BLOCK, "1"), ERR_OK);
	assert_int_equal(check(s, 1, 1, 5), ERR_DEVICE_BLOCKED);
	assert_int_equal(apply(s, 8, EV_DEVICE, EFFECT_LIFT, "1"), ERR_OK);
	assert_int_equal(revset_position(s), 8);
	assert_int_equal(check(s, 1, 1, 4), ERR_TOKEN_CUT);
	assert_int_equal(check(s, 1, 1, 8), ERR_OK);
	revset_free(&s);
}

static void
rotation_cuts_the_old_epochs_only(void **state)
{
	struct revset *s = NULL;
	struct event e = event(5, EV_DEVICE, EFFECT_CUT, "1");

	(void)state;
	e.ep_max = 2;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(revset_apply(s, &e, 1), ERR_OK);
	assert_int_equal(check(s, 1, 2, 4), ERR_TOKEN_CUT);
	assert_int_equal(check(s, 1, 3, 4), ERR_OK);
	assert_int_equal(check(s, 1, 2, 5), ERR_OK);
	assert_int_equal(check(s, 2, 1, 4), ERR_OK);
	revset_free(&s);
}

static void
what_cannot_be_an_event_applies_nothing_of_its_run(void **state)
{
	static const struct event bad[] = {
	    {.pos = 4, .kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "2"},
	    {.pos = 5, .kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "2"},
	    {.pos = 9, .kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "x"},
	    {.pos = 9, .kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "0"},
	    {.pos = 9, .kind = EV_DEVICE, .effect = EFFECT_CUT, .id = ""},
	    {.pos = 9, .kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "-1"},
	    {.pos = 9, .kind = EV_DEVICE, .effect = EFFECT_CUT,
	     .id = "9007199254740992"},
	    {.pos = 9, .kind = EV_GROUP, .effect = EFFECT_CUT,
	     .id = "4294967296"},
	    {.pos = 9, .kind = EV_TOKEN, .effect = EFFECT_CUT, .id = ""},
	    {.pos = 9, .kind = EV_SIGNING_KEY, .effect = EFFECT_CUT},
	    {.pos = 9, .kind = (enum event_kind)0, .effect = EFFECT_CUT,
	     .id = "1"},
	    {.pos = 9, .kind = (enum event_kind)9, .effect = EFFECT_CUT,
	     .id = "1"},
	    {.pos = 9, .kind = EV_DEVICE, .effect = (enum event_effect)0,
	     .id = "1"},
	    {.pos = 9, .kind = EV_DEVICE, .effect = (enum event_effect)4,
	     .id = "1"},
	    {.pos = 9, .kind = EV_TOKEN, .effect = EFFECT_CUT, .id = "j",
	     .exp = -1},
	    {.pos = NUMBER_MAX + 1, .kind = EV_DEVICE, .effect = EFFECT_CUT,
	     .id = "1"},
	};
	struct revset *s = NULL;
	struct event run[2];
	size_t i;

	(void)state;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(apply(s, 4, EV_DEVICE, EFFECT_CUT, "3"), ERR_OK);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		run[0] = event(5, EV_DEVICE, EFFECT_BLOCK, "1");
		run[1] = bad[i];
		assert_int_equal(revset_apply(s, run, 2), ERR_REQUEST);
		assert_int_equal(revset_position(s), 4);
		assert_int_equal(check(s, 1, 1, 4), ERR_OK);
	}
	revset_free(&s);
}

static void
dead_callers_stay_dead_through_pruning(void **state)
{
	struct revset *s = NULL;

	(void)state;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(apply(s, 1, EV_CALLER, EFFECT_CUT, "9"), ERR_OK);
	assert_int_equal(apply(s, 2, EV_SIGNING_KEY, EFFECT_CUT, "k"),
	    ERR_OK);
	assert_int_equal(apply(s, 3, EV_DEVICE, EFFECT_BLOCK, "5"), ERR_OK);
	assert_int_equal(apply(s, 4, EV_DEVICE, EFFECT_CUT, "6"), ERR_OK);
	revset_advance(s, 100, 50);
	revset_expire(s, 1);
	assert_int_equal(revset_caller_dead(s, 9), 1);
	assert_int_equal(revset_caller_dead(s, 8), 0);
	assert_int_equal(check(s, 5, 1, 99), ERR_DEVICE_BLOCKED);
	struct claim c = {.dn = 1, .epoch = 1, .kid = "k", .pos = 99};
	assert_int_equal(revset_check(s, &c, NULL), ERR_TOKEN_KEY);
	assert_int_equal(check(s, 6, 1, 3), ERR_TOKEN_FLOOR);
	revset_free(&s);
}

static void
revoked_tokens_are_forgotten_when_they_expire(void **state)
{
	struct revset *s = NULL;
	struct event e = event(1, EV_TOKEN, EFFECT_CUT, "j");
	struct claim c = {.dn = 1, .epoch = 1, .jti = "j", .pos = 1};
	uint64_t n, octets;

	(void)state;
	e.exp = 100;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(revset_apply(s, &e, 1), ERR_OK);
	revset_expire(s, 100);
	assert_int_equal(revset_check(s, &c, NULL), ERR_TOKEN_REVOKED);
	/* nor while a verifier's leeway would still take it */
	revset_expire(s, 100 + 300);
	assert_int_equal(revset_check(s, &c, NULL), ERR_TOKEN_REVOKED);
	revset_expire(s, 100 + 301);
	assert_int_equal(revset_check(s, &c, NULL), ERR_OK);
	revset_size(s, &n, &octets);
	assert_int_equal(n, 0);
	revset_free(&s);
}

static enum err
revoke_token(struct revset *s, uint64_t pos, const char *jti, int64_t exp)
{
	struct event e = event(pos, EV_TOKEN, EFFECT_CUT, jti);

	e.exp = exp;
	return revset_apply(s, &e, 1);
}

static uint64_t
left_at(struct revset *s, int64_t now)
{
	uint64_t n, octets;

	revset_expire(s, now);
	revset_size(s, &n, &octets);
	return n;
}

/* Each at its own time, the prolonged at the later one; also once reloaded. */
static void
each_revoked_token_is_forgotten_in_its_time(void **state)
{
	struct revset *s = NULL, *again = NULL;
	struct buf octets = {.max = 100000};
	uint32_t tenant;

	(void)state;
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	assert_int_equal(revoke_token(s, 1, "a", 100), ERR_OK);
	assert_int_equal(revoke_token(s, 2, "c", 0), ERR_OK);
	assert_int_equal(revoke_token(s, 3, "b", 200), ERR_OK);
	assert_int_equal(revoke_token(s, 4, "b", 300), ERR_OK);
	assert_int_equal(revset_save(s, &octets), ERR_OK);
	assert_int_equal(revset_load(octets.p, octets.len, &tenant, &again),
	    ERR_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(left_at(s, 400), 3);
		assert_int_equal(left_at(s, 401), 2);
		assert_int_equal(left_at(s, 501), 2);
		/* one that comes in between, with less time left */
		assert_int_equal(revoke_token(s, 5, "d", 250), ERR_OK);
		assert_int_equal(left_at(s, 551), 2);
		assert_int_equal(left_at(s, 601), 1);
		revset_advance(s, 10, 2);
		assert_int_equal(left_at(s, 601), 0);
		revset_free(&s);
		s = again;
	}
	buf_free(&octets);
}

static void
a_million_devices_fit_in_forty_megabytes(void **state)
{
	struct revset *s = NULL;
	struct event *run = calloc(1000, sizeof(*run));
	uint64_t n, octets, worst = 0;
	int i, j;

	(void)state;
	assert_non_null(run);
	assert_int_equal(revset_new(TENANT, &s), ERR_OK);
	for (i = 0; i < 1000; i++) {
		for (j = 0; j < 1000; j++) {
			run[j] = event((uint64_t)i * 1000 + (uint64_t)j + 1,
			    EV_DEVICE, EFFECT_BLOCK, "");
			(void)snprintf(run[j].id, sizeof(run[j].id), "%d",
			    i * 1000 + j + 1);
		}
		assert_int_equal(revset_apply(s, run, 1000), ERR_OK);
		revset_size(s, &n, &octets);
		if (octets > worst)
			worst = octets;
	}
	print_message("%llu devices, %llu octets\n", (unsigned long long)n,
	    (unsigned long long)worst);
	assert_int_equal(n, 1000000);
	assert_true(worst <= 40u << 20);
	assert_int_equal(check(s, 1000000, 1, 1000000), ERR_DEVICE_BLOCKED);
	assert_int_equal(check(s, 1000001, 1, 1000000), ERR_OK);
	free(run);
	revset_free(&s);
}

/* Readers beside a writer: who sees a position sees what it covers. */
struct shared {
	struct revset *set;
	atomic_int stop, bad;
};

static void *
reader(void *arg)
{
	struct shared *sh = arg;
	struct claim c = {.epoch = 1};
	uint64_t pos;

	while (!atomic_load(&sh->stop)) {
		pos = revset_position(sh->set);
		if (pos == 0)
			continue;
		/* Event n cuts device n: older than n is dead. */
		c.dn = pos;
		c.pos = pos - 1;
		if (revset_check(sh->set, &c, NULL) != ERR_TOKEN_CUT)
			atomic_store(&sh->bad, 1);
	}
	return NULL;
}

static void
no_reader_sees_a_position_before_its_event(void **state)
{
	struct shared sh = {.set = NULL};
	pthread_t t[3];
	char id[24];
	uint64_t i;

	(void)state;
	assert_int_equal(revset_new(TENANT, &sh.set), ERR_OK);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, &sh), 0);
	for (i = 1; i <= 20000; i++) {
		(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)i);
		assert_int_equal(apply(sh.set, i, EV_DEVICE, EFFECT_CUT, id),
		    ERR_OK);
	}
	atomic_store(&sh.stop, 1);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&sh.bad), 0);
	revset_free(&sh.set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_history_gives_what_the_whole_of_it_says),
	    cmocka_unit_test(the_strictest_reason_is_told_first),
	    cmocka_unit_test(a_lift_lets_the_new_in_and_keeps_the_old_out),
	    cmocka_unit_test(rotation_cuts_the_old_epochs_only),
	    cmocka_unit_test(
		what_cannot_be_an_event_applies_nothing_of_its_run),
	    cmocka_unit_test(dead_callers_stay_dead_through_pruning),
	    cmocka_unit_test(revoked_tokens_are_forgotten_when_they_expire),
	    cmocka_unit_test(each_revoked_token_is_forgotten_in_its_time),
	    cmocka_unit_test(a_million_devices_fit_in_forty_megabytes),
	    cmocka_unit_test(no_reader_sees_a_position_before_its_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
