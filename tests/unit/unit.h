#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

/* What every unit test includes first; cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Fails naming the case of a table that was at fault. */
#define assert_case(cond, what) \
	do { \
		if (!(cond)) \
			fail_msg("%s: %s", #cond, (what)); \
	} while (0)

#endif
