/* Receipts: kept once, in order, of the tenant's own gateways only. */
#include "tests/contract/contract.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FIRST ((UINT64_C(1) << POS_GENERATION_SHIFT) + 1)

static uint64_t
gateway_make(const struct ground *g, const char *name, const char *audience)
{
	struct store *st = begin(g->tenant, STORE_WRITE);
	struct caller c = {.role = ROLE_GATEWAY, .naudiences = 1};
	unsigned char hash[32];

	hash_make(hash);
	(void)snprintf(c.name, sizeof(c.name), "%s", name);
	(void)snprintf(c.audiences[0], sizeof(name_t), "%s", audience);
	OK(store_caller_insert(st, &c, hash));
	commit(&st);
	return c.number;
}

static uint64_t
event_make(const struct ground *g, enum event_kind kind, uint64_t id)
{
	struct store *st = begin(g->tenant, STORE_WRITE);
	struct event e = {.kind = kind, .effect = EFFECT_CUT};

	(void)snprintf(e.id, sizeof(e.id), "%llu", (unsigned long long)id);
	OK(store_event_append(st, &e));
	commit(&st);
	return e.pos;
}

static struct receipt_add
said(uint64_t caller, const char *instance, uint64_t pos)
{
	struct receipt_add a = {.caller = caller,
	    .r = {.position = pos, .sessions = 1, .closed = 2,
		.took_us = 30}, .age_us = 5};

	(void)snprintf(a.r.instance, sizeof(a.r.instance), "%s", instance);
	return a;
}

static void
add(const struct ground *g, struct receipt_add *rows, size_t n)
{
	struct store *st = begin(g->tenant, STORE_WRITE);

	OK(store_receipts_add(st, rows, n));
	commit(&st);
}

void
a_receipt_is_kept_once_and_never_goes_back(void **state)
{
	struct receipt_add a;
	struct receipt_kept kept[4];
	struct instance_row rows[4];
	struct ground g;
	struct store *st;
	uint64_t gw;
	size_t n = 0;

	(void)state;
	ground_make(&g);
	gw = gateway_make(&g, "gw", "a.example");
	a = said(gw, "i1", FIRST + 1);
	add(&g, &a, 1);
	assert_int_equal(a.first, 1);
	assert_int_equal(a.refused, 0);
	a = said(gw, "i1", FIRST + 1);
	add(&g, &a, 1);
	assert_int_equal(a.first, 0);
	a = said(gw, "i1", FIRST);
	add(&g, &a, 1);
	st = begin(g.tenant, STORE_READ);
	OK(store_receipts_list(st, FIRST, kept, 4, &n));
	assert_int_equal(n, 1);
	assert_int_equal(kept[0].caller, gw);
	assert_string_equal(kept[0].r.instance, "i1");
	assert_int_equal(kept[0].r.position, FIRST + 1);
	assert_int_equal(kept[0].r.sessions, 1);
	assert_int_equal(kept[0].r.closed, 2);
	assert_int_equal(kept[0].r.took_us, 30);
	assert_true(kept[0].at_us > INT64_C(1700000000000000));
	OK(store_instances(st, rows, 4, &n));
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].pos, FIRST + 1);
	OK(store_receipts_list(st, FIRST + 2, kept, 4, &n));
	assert_int_equal(n, 0);
	commit(&st);
}

void
a_later_receipt_covers_what_came_before(void **state)
{
	struct receipt_add a[3];
	struct receipt_kept kept[4];
	struct ground g;
	struct store *st;
	uint64_t gw, other;
	size_t n = 0;

	(void)state;
	ground_make(&g);
	gw = gateway_make(&g, "gw", "a.example");
	other = gateway_make(&g, "gw2", "a.example");
	a[0] = said(other, "i1", FIRST);
	a[1] = said(gw, "i2", FIRST + 3);
	a[2] = said(gw, "i1", FIRST + 1);
	add(&g, a, 3);
	a[0] = said(gw, "i2", FIRST + 4);
	add(&g, a, 1);
	st = begin(g.tenant, STORE_READ);
	OK(store_receipts_list(st, FIRST, kept, 4, &n));
	assert_int_equal(n, 3);
	assert_string_equal(kept[0].r.instance, "i1");
	assert_int_equal(kept[0].r.position, FIRST + 1);
	assert_int_equal(kept[1].r.position, FIRST + 3);
	assert_int_equal(kept[2].caller, other);
	OK(store_receipts_list(st, FIRST + 2, kept, 4, &n));
	assert_int_equal(n, 1);
	OK(store_receipts_list(st, FIRST, kept, 2, &n));
	assert_int_equal(n, 2);
	commit(&st);
}

/* Threat: a gateway fills the disk with instances of its own invention. */
void
a_gateway_has_so_many_instances_and_no_more(void **state)
{
	struct receipt_add a[RECEIPT_BATCH_MAX];
	struct ground g;
	struct store *st;
	char name[20];
	uint64_t gw;
	int i;

	(void)state;
	ground_make(&g);
	gw = gateway_make(&g, "gw", "a.example");
	for (i = 0; i < RECEIPT_BATCH_MAX; i++) {
		(void)snprintf(name, sizeof(name), "i%d", i);
		a[i] = said(gw, name, FIRST);
	}
	add(&g, a, GATEWAY_INSTANCES_MAX - 1);
	a[0] = said(gw, "x1", FIRST);
	a[1] = said(gw, "x2", FIRST);
	a[2] = said(gw, "i5", FIRST + 1);
	add(&g, a, 3);
	assert_int_equal(a[0].refused + a[1].refused, 1);
	assert_int_equal(a[2].refused, 0);
	st = begin(g.tenant, STORE_WRITE);
	OK(store_instances_forget(st, gw, 3600));
	commit(&st);
	a[0] = said(gw, "x3", FIRST);
	add(&g, a, 1);
	assert_int_equal(a[0].refused, 1);
	/* Long silent: its place is another's. */
	a[0] = said(gw, "i6", FIRST);
	a[0].age_us = 0;
	st = begin(g.tenant, STORE_WRITE);
	OK(store_receipts_add(st, a, 1));
	OK(store_instances_forget(st, gw, 0));
	commit(&st);
	a[0] = said(gw, "x3", FIRST);
	add(&g, a, 1);
	assert_int_equal(a[0].refused, 0);
}

static size_t
gateways(const struct ground *g, uint64_t pos, struct gateway_row rows[8])
{
	struct store *st = begin(g->tenant, STORE_READ);
	struct event_time t;
	size_t n = 99;

	OK(store_event_get(st, pos, &t));
	assert_int_equal(t.event.pos, pos);
	assert_true(t.now_us >= t.at_us);
	OK(store_event_gateways(st, &t, rows, 8, &n));
	commit(&st);
	return n;
}

void
an_event_finds_the_gateways_its_devices_are_peered_with(void **state)
{
	struct gateway_row rows[8];
	struct event_time t;
	struct ground g;
	struct store *st;
	uint64_t dn, gw, off, other;

	(void)state;
	ground_make(&g);
	dn = device_make(&g, "S1", DEV_ACTIVE);
	gw = gateway_make(&g, "gw", "a.example");
	off = gateway_make(&g, "off", "a.example");
	other = gateway_make(&g, "other", "c.example");
	st = begin(g.tenant, STORE_WRITE);
	OK(store_caller_disable(st, off));
	commit(&st);
	assert_int_equal(gateways(&g, event_make(&g, EV_DEVICE, dn), rows),
	    1);
	assert_int_equal(rows[0].number, gw);
	assert_string_equal(rows[0].name, "gw");
	assert_int_equal(gateways(&g, event_make(&g, EV_DEVICE, dn + 1),
	    rows), 0);
	assert_int_equal(gateways(&g, event_make(&g, EV_GROUP,
	    g.model_group), rows), 1);
	assert_int_equal(gateways(&g, event_make(&g, EV_GROUP, 99), rows), 0);
	assert_int_equal(gateways(&g, event_make(&g, EV_TENANT, g.tenant),
	    rows), 1);
	assert_int_equal(gateways(&g, event_make(&g, EV_CALLER, off), rows),
	    2);
	assert_int_equal(rows[1].number, other);
	assert_int_equal(gateways(&g, event_make(&g, EV_SIGNING_KEY, 7),
	    rows), 2);
	assert_int_equal(gateways(&g, event_make(&g, EV_TOKEN, 7), rows), 2);
	st = begin(g.tenant, STORE_READ);
	OK(store_event_next(st, FIRST, &t));
	assert_int_equal(t.event.pos, FIRST + 1);
	IS(NOT_FOUND, store_event_next(st, FIRST + 99, &t));
	IS(NOT_FOUND, store_event_get(st, FIRST + 99, &t));
	commit(&st);
}

void
a_gateway_enrolled_later_is_not_expected(void **state)
{
	struct gateway_row rows[8];
	int64_t end = clock_mono_ms(&clock_system) + 5000;
	int64_t at;
	struct ground g;
	uint64_t pos;

	(void)state;
	ground_make(&g);
	pos = event_make(&g, EV_TOKEN, 1);
	/* Not all implementations count less than a second. */
	at = clock_wall_s(&clock_system);
	while (clock_wall_s(&clock_system) <= at) {
		assert_true(clock_mono_ms(&clock_system) < end);
		(void)poll(NULL, 0, 10);
	}
	(void)gateway_make(&g, "gw", "a.example");
	assert_int_equal(gateways(&g, pos, rows), 0);
	pos = event_make(&g, EV_TOKEN, 2);
	assert_int_equal(gateways(&g, pos, rows), 1);
}

void
receipts_of_another_tenant_are_invisible(void **state)
{
	struct receipt_kept kept[4];
	struct instance_row rows[4];
	struct receipt_add r;
	struct event_time t;
	struct ground a, b;
	struct store *st;
	uint64_t pos;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	pos = event_make(&a, EV_TOKEN, 1);
	r = said(gateway_make(&a, "gw", "a.example"), "i1", pos);
	add(&a, &r, 1);
	st = begin(b.tenant, STORE_WRITE);
	OK(store_receipts_list(st, pos, kept, 4, &n));
	assert_int_equal(n, 0);
	OK(store_instances(st, rows, 4, &n));
	assert_int_equal(n, 0);
	IS(NOT_FOUND, store_event_get(st, pos, &t));
	OK(store_instances_forget(st, r.caller, 0));
	commit(&st);
	st = begin(a.tenant, STORE_READ);
	OK(store_instances(st, rows, 4, &n));
	assert_int_equal(n, 1);
	commit(&st);
}

#define WRITERS 4
#define EACH 20
static struct {
	struct ground g;
	uint64_t gw;
	int next;
	int failed;
} many;

static enum err
batch(struct store *st, int k, int round)
{
	struct receipt_add a[WRITERS];
	char name[20];
	int i;
	enum err e;

	for (i = 0; i < WRITERS; i++) {
		(void)snprintf(name, sizeof(name), "w%d-%d", k, i);
		a[i] = said(many.gw, name, FIRST + (uint64_t)(round % 3));
	}
	e = store_begin(st, many.g.tenant, STORE_WRITE);
	if (e == ERR_OK)
		e = store_receipts_add(st, a, WRITERS);
	if (e == ERR_OK)
		e = store_commit(st);
	if (e != ERR_OK)
		store_rollback(st);
	return e;
}

static void *
writer(void *arg)
{
	int k = __atomic_fetch_add(&many.next, 1, __ATOMIC_SEQ_CST), i;
	struct store *st = NULL;
	enum err e;

	(void)arg;
	if (store_acquire(pool, 20000, &st) != ERR_OK) {
		many.failed = 1;
		return NULL;
	}
	for (i = 0; i < EACH; i++) {
		e = batch(st, k, i);
		if (e == ERR_CONFLICT)
			i--;
		else if (e != ERR_OK)
			many.failed = 1;
	}
	store_release(&st);
	return NULL;
}

void
receipts_of_many_at_once_are_all_kept(void **state)
{
	struct receipt_kept kept[WRITERS * WRITERS + 1];
	pthread_t t[WRITERS];
	struct store *st;
	size_t n = 0, i;

	(void)state;
	memset(&many, 0, sizeof(many));
	ground_make(&many.g);
	many.gw = gateway_make(&many.g, "gw", "a.example");
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, writer, NULL),
		    0);
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(many.failed, 0);
	st = begin(many.g.tenant, STORE_READ);
	OK(store_receipts_list(st, FIRST, kept, WRITERS * WRITERS + 1, &n));
	assert_int_equal(n, WRITERS * WRITERS);
	OK(store_receipts_list(st, FIRST + 2, kept, WRITERS * WRITERS + 1,
	    &n));
	assert_int_equal(n, WRITERS * WRITERS);
	commit(&st);
}
