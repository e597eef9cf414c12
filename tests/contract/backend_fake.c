/* The contract over the store in memory; and what only the fake can do. */
#include "tests/contract/contract.h"

#include "tests/helpers/fake_store.h"

int
backend_start(void)
{
	return store_migrate("fake", "/", NULL) == ERR_OK ? 0 : -1;
}

void
backend_stop(void)
{
}

const char *
backend_conninfo(void)
{
	return "fake";
}

const char *
backend_sql_dir(void)
{
	return "/";
}

/* For every n: call n fails, and nothing of the transaction stays. */
static void
a_fault_at_any_call_leaves_nothing(void **state)
{
	struct store_conf conf = {.conninfo = "faults", .sessions = 1,
	    .connect_ms = 1, .statement_ms = 1000};
	struct group g = {.kind = GROUP_FREE, .name = "g"};
	struct store_pool *p = NULL;
	struct store *st = NULL;
	unsigned n;
	enum err e;

	(void)state;
	OK(store_pool_open(&conf, &p));
	OK(store_acquire(p, 0, &st));
	for (n = 1; n <= 4; n++) {
		fake_store_fail_at(n, ERR_STORE);
		e = store_begin(st, 1, STORE_WRITE);
		if (e == ERR_OK)
			e = store_tenant_insert(st, "t");
		if (e == ERR_OK)
			e = store_group_insert(st, &g);
		if (e == ERR_OK)
			e = store_commit(st);
		IS(STORE, e);
		assert_int_equal(fake_store_calls(), n);
		store_rollback(st);
	}
	fake_store_fail_at(0, ERR_OK);
	OK(store_begin(st, 1, STORE_READ));
	IS(NOT_FOUND, store_group_get(st, 1, &g));
	store_rollback(st);
	fake_store_away(1);
	IS(STORE, store_begin(st, 1, STORE_READ));
	fake_store_away(0);
	store_release(&st);
	store_pool_close(&p);
}

int
backend_cases(void)
{
	const struct CMUnitTest cases[] = {
	    cmocka_unit_test(a_fault_at_any_call_leaves_nothing)};

	return cmocka_run_group_tests(cases, NULL, NULL);
}
