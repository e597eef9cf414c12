/*
 * The contract of authd/store/store.h, built once for each implementation.
 * Every case makes tenants of its own and so needs no order.
 */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <string.h>

struct store_pool *pool;

struct store *
session(void)
{
	struct store *st = NULL;

	OK(store_acquire(pool, 20000, &st));
	return st;
}

struct store *
begin(uint32_t tenant, enum store_mode mode)
{
	struct store *st = session();

	OK(store_begin(st, tenant, mode));
	return st;
}

void
commit(struct store **st)
{
	OK(store_commit(*st));
	store_release(st);
}

void
rollback(struct store **st)
{
	store_rollback(*st);
	store_release(st);
}

void
hash_make(unsigned char out[32])
{
	static unsigned n;

	memset(out, 7, 32);
	n++;
	memcpy(out, &n, sizeof(n));
}

void
order_fill(struct order *o, const char *name, uint32_t group)
{
	memset(o, 0, sizeof(*o));
	(void)snprintf(o->name, sizeof(o->name), "%s", name);
	(void)snprintf(o->model, sizeof(o->model), "m1");
	o->group = group;
	o->quantity = 100;
	o->expires_at = clock_wall_s(&clock_system) + 3600;
	o->reburn = REBURN_UNTIL_CONFIRMED;
	o->min_proof = PROOF_MEDIUM;
	(void)snprintf(o->serial_pattern, sizeof(o->serial_pattern),
	    "S[0-9]{1,6}");
	(void)snprintf(o->id_template, sizeof(o->id_template),
	    "{model}-{serial}");
	(void)snprintf(o->scope, sizeof(o->scope), "telemetry command");
	(void)snprintf(o->stations[0], sizeof(name_t), "st-1");
	(void)snprintf(o->stations[1], sizeof(name_t), "st-2");
	o->nstations = 2;
	(void)snprintf(o->peers[0], sizeof(name_t), "b.example");
	(void)snprintf(o->peers[1], sizeof(name_t), "a.example");
	o->npeers = 2;
}

static void
fill_tenant(struct store *st, struct ground *g)
{
	struct data_key_row key = {.number = 1, .kek_id = "kek",
	    .wrapped = "w", .wrapped_len = 1};
	struct group mg = {.kind = GROUP_MODEL, .name = "m1"};
	struct group og = {.kind = GROUP_ORDER, .name = "o1"};
	struct audience au = {.name = "a.example", .host = "h", .port = 8883};
	struct model_row m = {.name = "m1"};
	struct order o;

	OK(store_tenant_insert(st, g->name));
	OK(store_data_key_insert(st, &key));
	OK(store_group_insert(st, &mg));
	OK(store_group_insert(st, &og));
	OK(store_audience_put(st, &au));
	au.name[0] = 'b';
	OK(store_audience_put(st, &au));
	m.group = g->model_group = mg.number;
	OK(store_model_insert(st, &m));
	g->order_group = og.number;
	order_fill(&o, "o1", og.number);
	OK(store_order_insert(st, &o));
}

void
ground_make(struct ground *g)
{
	static unsigned n;
	struct store *st = session();

	(void)snprintf(g->name, sizeof(g->name), "tenant-%u", ++n);
	OK(store_tenant_next(st, &g->tenant));
	OK(store_begin(st, g->tenant, STORE_WRITE));
	fill_tenant(st, g);
	commit(&st);
}

uint64_t
device_make(const struct ground *g, const char *serial,
    enum device_state state)
{
	struct device_key_row k = {.epoch = 1, .data_key = 1,
	    .sealed = "sealed", .sealed_len = 6};
	struct device d = {.order = "o1", .model = "m1", .epoch = 1,
	    .state = state};
	struct store *st = begin(g->tenant, STORE_WRITE);

	(void)snprintf(d.serial, sizeof(d.serial), "%s", serial);
	(void)snprintf(d.device_id, sizeof(d.device_id), "m1-%.60s", serial);
	OK(store_device_insert(st, &d));
	k.dn = d.dn;
	OK(store_device_key_insert(st, &k));
	OK(store_member_add(st, d.dn, g->model_group));
	OK(store_member_add(st, d.dn, g->order_group));
	commit(&st);
	return d.dn;
}

static int
start(void **state)
{
	struct store_conf conf = {.sessions = 48, .connect_ms = 20000,
	    .statement_ms = 30000};

	(void)state;
	if (backend_start() != 0)
		return -1;
	conf.conninfo = backend_conninfo();
	return store_pool_open(&conf, &pool) == ERR_OK ? 0 : -1;
}

static int
stop(void **state)
{
	(void)state;
	store_pool_close(&pool);
	backend_stop();
	return 0;
}

#define CASE(name) cmocka_unit_test(name),
static const struct CMUnitTest contract[] = {
    CASES_TENANT(CASE) CASES_REGISTRY(CASE) CASES_DEVICE(CASE)
    CASES_BURN(CASE) CASES_TICKET(CASE) CASES_VOID(CASE) CASES_FEED(CASE)
    CASES_MARK(CASE) CASES_RECEIPT(CASE) CASES_HELD(CASE)
    CASES_ISOLATION(CASE)};

int
main(void)
{
	int failed = cmocka_run_group_tests(contract, start, stop);

	return failed + backend_cases() == 0 ? 0 : 1;
}
