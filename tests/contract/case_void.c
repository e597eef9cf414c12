/* Units that were scrapped, and what an order has come to. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <string.h>

void
a_scrapped_unit_keeps_its_reason_and_frees_its_names(void **state)
{
	struct order_summary s;
	struct device d;
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_void(st, dn, "it's \"scratched\"; \xc3\xa4"));
	IS(NOT_FOUND, store_device_void(st, dn + 1, "none"));
	IS(NOT_FOUND, store_device_by_id(st, "m1-S1", &d));
	OK(store_device_get(st, dn, &d));
	assert_int_equal(d.state, DEV_VOID);
	OK(store_order_summary(st, "o1", &s));
	assert_int_equal(s.states[DEV_VOID], 1);
	assert_int_equal(s.nvoids, 1);
	assert_string_equal(s.voids[0].reason, "it's \"scratched\"; \xc3\xa4");
	commit(&st);
	assert_int_not_equal(device_make(&a, "S1", DEV_BURNING), dn);
}

void
a_serial_is_known_to_have_had_a_key_when_that_is_void(void **state)
{
	struct ground a, other;
	struct store *st;
	struct burn_look l;
	uint64_t dn;
	int released = 9;

	(void)state;
	ground_make(&a);
	ground_make(&other);
	dn = device_make(&a, "S1", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_serial_released(st, "o1", "S1", &released));
	assert_int_equal(released, 0);
	OK(store_burn_look(st, "m1-S1", 1, 1, &l));
	OK(store_device_void(st, dn, ""));
	OK(store_serial_released(st, "o1", "S1", &released));
	assert_int_equal(released, 0); /* nobody was given it */
	l.device.state = DEV_VOID;
	OK(store_burn_released(st, &l, 0));
	OK(store_serial_released(st, "o1", "S1", &released));
	assert_int_equal(released, 1);
	OK(store_serial_released(st, "o1", "S2", &released));
	assert_int_equal(released, 0);
	OK(store_serial_released(st, "o2", "S1", &released));
	assert_int_equal(released, 0);
	commit(&st);
	st = begin(other.tenant, STORE_READ);
	OK(store_serial_released(st, "o1", "S1", &released));
	assert_int_equal(released, 0);
	commit(&st);
}

void
an_order_counts_its_units_by_state_and_proof(void **state)
{
	static const enum device_state states[] = {DEV_RESERVED, DEV_BURNING,
	    DEV_ACTIVE, DEV_ACTIVE, DEV_SUSPENDED, DEV_REVOKED};
	struct order_summary s;
	struct device d;
	struct ground a;
	struct store *st;
	char serial[8] = "S0";
	size_t i;

	(void)state;
	ground_make(&a);
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		serial[1] = (char)('0' + i);
		d.dn = device_make(&a, serial, states[i]);
		st = begin(a.tenant, STORE_WRITE);
		OK(store_device_get(st, d.dn, &d));
		assert_int_equal(d.unproven, 0);
		d.unproven = i != 3; /* one is known */
		OK(store_device_update(st, &d));
		OK(store_device_get(st, d.dn, &d));
		assert_int_equal(d.unproven, i != 3);
		commit(&st);
	}
	st = begin(a.tenant, STORE_READ);
	OK(store_order_summary(st, "o1", &s));
	assert_int_equal(s.states[DEV_RESERVED], 1);
	assert_int_equal(s.states[DEV_BURNING], 1);
	assert_int_equal(s.states[DEV_ACTIVE], 2);
	assert_int_equal(s.states[DEV_SUSPENDED], 1);
	assert_int_equal(s.states[DEV_REVOKED], 1);
	assert_int_equal(s.states[DEV_VOID], 0);
	assert_int_equal(s.unproven, 2); /* in service, that is */
	assert_int_equal(s.nvoids, 0);
	OK(store_order_summary(st, "none", &s));
	assert_int_equal(s.states[DEV_ACTIVE], 0);
	commit(&st);
}

void
reasons_come_by_how_many_and_no_more_than_fit(void **state)
{
	struct order_summary s;
	struct ground a;
	struct store *st;
	char serial[16], reason[16];
	uint64_t dn;
	int i;

	(void)state;
	ground_make(&a);
	for (i = 0; i < ORDER_VOIDS_MAX + 4; i++) {
		(void)snprintf(serial, sizeof(serial), "S%d", i);
		(void)snprintf(reason, sizeof(reason), "r%02d",
		    i < 3 ? 19 : i);
		dn = device_make(&a, serial, DEV_RESERVED);
		st = begin(a.tenant, STORE_WRITE);
		OK(store_device_void(st, dn, reason));
		commit(&st);
	}
	st = begin(a.tenant, STORE_READ);
	OK(store_order_summary(st, "o1", &s));
	assert_int_equal(s.states[DEV_VOID], ORDER_VOIDS_MAX + 4);
	assert_int_equal(s.nvoids, ORDER_VOIDS_MAX);
	assert_string_equal(s.voids[0].reason, "r19");
	assert_int_equal(s.voids[0].units, 4);
	assert_string_equal(s.voids[1].reason, "r03");
	assert_int_equal(s.voids[1].units, 1);
	commit(&st);
}
