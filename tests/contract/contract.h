#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "authd/store/store.h"

/* What one implementation brings: backend_pg.c or backend_fake.c. */
int backend_start(void); /* 0 done */
void backend_stop(void);
const char *backend_conninfo(void);
const char *backend_sql_dir(void);
/* Runs the implementation's own cases; the number that failed. */
int backend_cases(void);

/* The pool of all cases, 48 sessions. */
extern struct store_pool *pool;
struct store *session(void);
#define OK(x) assert_string_equal(err_name(x), "OK")
#define IS(e, x) assert_string_equal(err_name(x), #e)

/* A new tenant with what a device needs. */
struct ground {
	uint32_t tenant;
	name_t name;
	uint32_t model_group, order_group;
};
void ground_make(struct ground *g);
/* A device in the order "o1" of the ground, with key of epoch 1. */
uint64_t device_make(const struct ground *g, const char *serial,
    enum device_state state);
void order_fill(struct order *o, const char *name, uint32_t group);
/* Begins on a session of the pool. */
struct store *begin(uint32_t tenant, enum store_mode mode);
void commit(struct store **st);	  /* and gives the session back */
void rollback(struct store **st); /* likewise */
void hash_make(unsigned char out[32]); /* never the same */

/* case_*.c; each is a cmocka test */
#define CASES_TENANT(X) \
	X(heads_show_every_tenant) X(a_taken_tenant_name_is_refused) \
	X(calls_outside_a_transaction_are_refused) \
	X(a_failed_transaction_can_only_be_rolled_back) \
	X(rollback_leaves_nothing) X(a_snapshot_does_not_move) \
	X(a_read_transaction_cannot_write) \
	X(the_pool_is_bounded) X(a_folder_without_migrations_is_refused) \
	X(data_keys_count_their_uses) X(secret_keys_are_kept_in_order) \
	X(audit_rows_come_back_in_order) X(an_instance_confirms) \
	X(a_tenant_can_be_blocked) X(versions_of_the_key_set_only_grow)
#define CASES_REGISTRY(X) \
	X(callers_are_found_by_hash_and_name) X(audiences_can_change) \
	X(groups_are_numbered_and_counted) X(models_get_one_master_key) \
	X(orders_keep_every_member) X(an_order_gives_its_places_once) \
	X(an_order_refuses_for_the_right_reason) \
	X(places_are_not_oversold_by_racing_stations)
#define CASES_DEVICE(X) \
	X(devices_keep_every_member) X(device_numbers_are_dense) \
	X(a_device_keeps_two_epochs_and_what_is_known_of_clones) \
	X(a_name_is_free_again_when_void) X(listing_filters_and_pages) \
	X(a_device_is_in_eight_groups_at_most) X(device_keys_are_kept) \
	X(dead_keys_go_unless_a_station_had_them) \
	X(device_auth_reads_all_in_one_snapshot) \
	X(device_auth_knows_blocks_and_retired_peers)
#define CASES_TICKET(X) \
	X(tickets_keep_every_member_until_swept) \
	X(units_of_a_ticket_remember_their_burn) \
	X(a_device_of_a_ticket_becomes_a_unit) \
	X(keys_go_with_what_is_void_and_with_nothing_else) \
	X(tickets_of_another_tenant_are_invisible)
#define CASES_VOID(X) \
	X(a_scrapped_unit_keeps_its_reason_and_frees_its_names) \
	X(a_serial_is_known_to_have_had_a_key_when_that_is_void) \
	X(an_order_counts_its_units_by_state_and_proof) \
	X(reasons_come_by_how_many_and_no_more_than_fit)
#define CASES_BURN(X) \
	X(a_reservation_looks_at_order_and_unit) \
	X(a_device_is_made_with_its_groups_or_not_at_all) \
	X(an_order_enrols_as_many_as_it_has_places) \
	X(a_key_that_cannot_be_kept_takes_its_commit_with_it) \
	X(a_burn_is_decided_by_one_look) \
	X(a_release_is_counted_and_renews_a_key_when_told) \
	X(a_public_key_is_one_device_s) \
	X(a_look_sees_what_its_lock_has_waited_for)
#define CASES_FEED(X) \
	X(events_come_back_in_order) X(events_are_found_by_what_they_name) \
	X(commit_order_is_position_order_and_none_is_missed) \
	X(a_commit_wakes_listeners_and_a_rollback_does_not) \
	X(the_floor_follows_what_is_old) \
	X(a_snapshot_has_what_still_holds) \
	X(a_counter_behind_is_remembered_until_it_is_raised)
#define CASES_MARK(X) \
	X(a_mark_works_once) X(marks_used_together_count_each_by_itself) \
	X(many_marks_in_many_runs_each_win_once) \
	X(of_32_threads_with_one_mark_one_wins) \
	X(many_marks_at_once_each_win_once) X(expired_marks_go) \
	X(marks_of_tenants_are_apart)
#define CASES_RECEIPT(X) \
	X(a_receipt_is_kept_once_and_never_goes_back) \
	X(a_later_receipt_covers_what_came_before) \
	X(a_gateway_has_so_many_instances_and_no_more) \
	X(an_event_finds_the_gateways_its_devices_are_peered_with) \
	X(a_gateway_enrolled_later_is_not_expected) \
	X(receipts_of_another_tenant_are_invisible) \
	X(receipts_of_many_at_once_are_all_kept)
#define CASES_HELD(X) \
	X(what_gateways_hold_is_kept_once_and_told_in_runs) \
	X(the_first_of_two_events_of_a_position_stays) \
	X(what_older_keys_have_signed_counts_no_more) \
	X(what_gateways_of_another_tenant_hold_is_invisible)
#define CASES_ISOLATION(X) \
	X(rows_of_another_tenant_are_invisible) \
	X(rows_of_another_tenant_cannot_be_changed) \
	X(events_and_audit_of_another_tenant_are_invisible)
#define CASE_DECLARE(name) void name(void **state);
CASES_TENANT(CASE_DECLARE)
CASES_REGISTRY(CASE_DECLARE)
CASES_DEVICE(CASE_DECLARE)
CASES_BURN(CASE_DECLARE)
CASES_TICKET(CASE_DECLARE)
CASES_VOID(CASE_DECLARE)
CASES_FEED(CASE_DECLARE)
CASES_MARK(CASE_DECLARE)
CASES_RECEIPT(CASE_DECLARE)
CASES_HELD(CASE_DECLARE)
CASES_ISOLATION(CASE_DECLARE)

#endif
