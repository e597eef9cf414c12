#ifndef TESTS_FAKE_IMPL_H
#define TESTS_FAKE_IMPL_H

#include <pthread.h>
#include <time.h>
#include "tests/helpers/fake_store.h"

enum fake_table {
	T_TENANT, T_EVENT, T_DATA_KEY, T_SECRET_KEY, T_CALLER, T_AUDIENCE,
	T_GROUP, T_MODEL, T_ORDER, T_DEVICE, T_MEMBER, T_DEVICE_KEY, T_AUDIT,
	T_INSTANCE, T_GATEWAY_INSTANCE, T_RECEIPT, T_TICKET, T_TICKET_UNIT,
	T_HELD_EVENT, T_HELD_BY,
	T_COUNT
};

/* Every row starts with its tenant. */
struct f_tenant {
	uint32_t tenant;
	name_t name;
	uint64_t lost, keys_version;
	uint64_t pos, floor, next_device, next_caller, next_model;
	uint32_t next_group;
	int blocked;
};
struct f_event {
	uint32_t tenant;
	struct event v;
};
struct f_data_key {
	uint32_t tenant;
	struct data_key_row v;
};
struct f_secret_key {
	uint32_t tenant;
	struct secret_key_row v;
};
struct f_caller {
	uint32_t tenant;
	struct caller v;
	unsigned char hash[32];
};
struct f_audience {
	uint32_t tenant;
	struct audience v;
};
struct f_group {
	uint32_t tenant;
	struct group v;
};
struct f_model {
	uint32_t tenant;
	struct model_row v;
};
struct f_order {
	uint32_t tenant;
	struct order v;
	uint32_t next_place;
};
struct f_device {
	uint32_t tenant;
	struct device v;
	struct device_public pub;
	uint64_t station;
	char reason[VOID_REASON_MAX + 1];
};
struct f_member {
	uint32_t tenant;
	uint64_t dn;
	uint32_t group;
};
struct f_device_key {
	uint32_t tenant;
	struct device_key_row v;
};
struct f_audit {
	uint32_t tenant;
	struct audit v;
};
struct f_instance {
	uint32_t tenant;
	name_t name;
};

struct f_gateway_instance {
	uint32_t tenant;
	struct instance_row v;
};
struct f_receipt {
	uint32_t tenant;
	struct receipt_kept v;
};
struct f_held_event {
	uint32_t tenant;
	struct event v;
	uint64_t keys;
};
struct f_held_by {
	uint32_t tenant;
	struct held_said v;
	int64_t at;
};

struct f_ticket {
	uint32_t tenant;
	struct ticket_row v;
};
struct f_ticket_unit {
	uint32_t tenant;
	struct ticket_unit_row v;
};

struct table {
	char *rows;
	size_t n, cap;
};

/* One state of the database; shared by readers, changed by none. */
struct version {
	unsigned refs; /* db lock */
	struct table t[T_COUNT];
};

struct db {
	char *name;
	pthread_mutex_t lock;
	pthread_cond_t change; /* writer done, or notified */
	struct version *head;
	int writing;
	unsigned notified;
	struct mark *marks;
	size_t nmarks;
	struct db *next;
};

struct store_pool {
	struct db *db;
	struct store_conf conf;
	struct store *sessions;
	uint32_t used;
	char *taken;
	pthread_mutex_t lock;
	pthread_cond_t returned;
};

struct store {
	struct store_pool *pool;
	struct db *db;
	uint32_t slot;
	enum { NONE, OPEN, FAILED } tx;
	enum store_mode mode;
	uint32_t tenant;
	struct version *v;
	int notify, listening;
	unsigned seen;
};

/* Counts a call: the injected fault. */
enum err fake_count(void) MUST_CHECK;
void fake_deadline(struct timespec *ts, uint32_t ms); /* CLOCK_REALTIME */
/* Begins a call in a transaction: the injected fault, or what is wrong. */
enum err fake_enter(struct store *st, int writes) MUST_CHECK;
/* Begins, and ends, a call that needs no transaction. */
enum err fake_enter_anywhere(struct store *st) MUST_CHECK;
void fake_leave(struct store *st);
/* Only a rollback is allowed from here; gives e. */
enum err fake_fail(struct store *st, enum err e) MUST_CHECK;
/* A zeroed row of the tenant, or NULL (then the transaction failed). */
void *fake_add(struct store *st, enum fake_table t);
/* The next row of the tenant from *i on, or NULL; *i moves behind it. */
void *fake_next(struct store *st, enum fake_table t, size_t *i);
/* Drops the row that fake_next gave last, at *i - 1. */
void fake_drop(struct store *st, enum fake_table t, size_t *i);
struct f_tenant *fake_tenant(struct store *st); /* or NULL */
int64_t fake_now(void);
uint32_t fake_tenant_number(const struct store *st);
int fake_writes(const struct store *st);
/* The next row whatever its tenant: the exceptions. */
void *fake_next_any(struct store *st, enum fake_table t, size_t *i);
void fake_will_notify(struct store *st);

struct f_group *fake_group(struct store *st, uint32_t number);
struct f_model *fake_model(struct store *st, const char *name);
struct f_order *fake_order(struct store *st, const char *name);
struct f_device *fake_device(struct store *st, uint64_t dn);
struct f_device *fake_device_by_id(struct store *st, const char *device_id);
struct f_device *fake_device_by_serial(struct store *st, const char *order,
    const char *serial);
struct f_device_key *fake_device_key(struct store *st, uint64_t dn,
    uint32_t epoch);
void fake_device_fill(struct store *st, const struct f_device *r,
    struct device *out); /* with its groups */
int fake_has_data_key(struct store *st, uint64_t number);
uint64_t fake_group_devices(struct store *st, uint32_t number);

#endif
