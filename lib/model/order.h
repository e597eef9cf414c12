#ifndef MODEL_ORDER_H
#define MODEL_ORDER_H

#include <stddef.h>

#include "lib/model/names.h"
#include "lib/model/device.h"

#define ORDER_STATIONS_MAX 32
#define ORDER_PEERS_MAX 8
#define ORDER_QUANTITY_MAX 100000000u

/* What becomes of a serial number that already has an identity. */
enum reburn { REBURN_NEVER, REBURN_UNTIL_CONFIRMED, REBURN_APPROVAL };
const char *reburn_name(enum reburn r); /* "never", "until-confirmed",
					   "new-epoch-with-approval" */
enum err reburn_parse(const char *s, enum reburn *out) MUST_CHECK;

/* What follows when the key of a dead epoch is used. */
enum on_clone { CLONE_REPORT, CLONE_SUSPEND };
const char *on_clone_name(enum on_clone c); /* "report", "suspend" */
enum err on_clone_parse(const char *s, enum on_clone *out) MUST_CHECK;

/* A named service that devices are peered with. host and port may change. */
struct audience {
	name_t name;
	char host[254];
	uint16_t port;
	int retired;
};

/* A production order. */
struct order {
	name_t name;
	name_t model;
	uint32_t group;	      /* group of the order's devices */
	uint32_t model_group; /* group of the model's devices */
	uint32_t quantity;    /* 1 to ORDER_QUANTITY_MAX */
	uint32_t issued;      /* places taken */
	int64_t expires_at;   /* unix seconds */
	int64_t created_at;
	int closed;
	int derived;	      /* K derived from the model's master key */
	enum reburn reburn;
	enum proof min_proof; /* any but PROOF_NONE */
	int rotate_first; /* its keys open nothing but their rotation */
	enum on_clone on_clone;
	char serial_pattern[129]; /* POSIX extended, matched whole */
	char id_template[65]; /* "{serial}", "{model}-{n}", "{n:8}", ... */
	char scope[256];      /* of its devices' tokens */
	name_t stations[ORDER_STATIONS_MAX];
	uint32_t nstations;
	name_t peers[ORDER_PEERS_MAX]; /* audiences */
	uint32_t npeers;
};
/* Checks every member; d says which is wrong. */
enum err order_validate(const struct order *o, struct detail *d) MUST_CHECK;
/* ERR_OK if the whole serial matches the order's pattern. */
enum err order_check_serial(const struct order *o, const char *serial)
    MUST_CHECK;
/*
 * The device_id the template makes: {serial}, {model}, {order}, {n} (place
 * in the order, from 1) and {n:W} (zero-padded to W digits). ERR_NAME when
 * the result is no device_id.
 */
enum err order_device_id(const struct order *o, const char *serial,
    uint32_t n, name_t out) MUST_CHECK;

/* What an order has come to. */
#define ORDER_VOIDS_MAX 16
#define VOID_REASON_MAX 200
struct order_void {
	char reason[VOID_REASON_MAX + 1];
	uint64_t units;
};
struct order_summary {
	uint64_t states[DEVICE_STATES]; /* units in each */
	uint64_t unproven; /* of those active or suspended */
	struct order_void voids[ORDER_VOIDS_MAX]; /* those of most units */
	size_t nvoids;
};

/* A set of devices addressed as one. */
enum group_kind { GROUP_MODEL, GROUP_ORDER, GROUP_STATION, GROUP_FREE };
const char *group_kind_name(enum group_kind k);
enum err group_kind_parse(const char *s, enum group_kind *out) MUST_CHECK;
struct group {
	uint32_t number;
	enum group_kind kind;
	name_t name;
	int blocked;
	uint64_t devices; /* filled by listings */
};

#endif
