#ifndef TESTS_TARGET_FIXTURE_H
#define TESTS_TARGET_FIXTURE_H

#include "tests/unit/unit.h"

#include "lib/base/buf.h"
#include "lib/base/secret.h"
#include "provision-tool/target.h"

/*
 * A folder of its own and two identity records, of "sn:1" and "sn:2"; and
 * faults of the disk: the n-th write, fsync or rename from now on fails, a
 * write when half of it is done.
 */
struct target_place {
	char root[64];
	char spec[1400];
	struct secret one, two;
};
#define ONE "sn:1"
#define TWO "sn:2"
#define KEY_OCTET 0xc3 /* every octet of the key of ONE */

#define TARGET_CASE(f) \
	cmocka_unit_test_setup_teardown(f, target_setup, target_teardown)
int target_setup(void **state);
int target_teardown(void **state);
/* spec: "kind:" and text, in which each % stands for the folder. */
struct target *target_at(struct target_place *p, const char *text);
/* 0: no fault. Returns whether the fault before has come. */
int target_fault(int n);
int target_files(const struct target_place *p); /* in the folder */
void target_put(const struct target_place *p, const char *name, const void *s,
		size_t len);
void target_get(const struct target_place *p, const char *name,
		struct buf *out);
/* What target_open says about a spec that it must refuse. */
void target_refused(struct target_place *p, const char *text, const char *why);
/*
 * Two units, one OUT: with ONE in it the write of TWO is refused, also where
 * what is there cannot be looked at. text without replace=.
 */
void target_not_lost(struct target_place *p, const char *text,
		     const char *name);
/* Writes and reads back ONE. */
void target_round(struct target_place *p, const char *text);
/*
 * Fails the disk at each operation of a write: the write must say so, and
 * the place then hold what it held before, and nothing else.
 */
void target_full_disk(struct target_place *p, const char *text);

#endif
