/*
 * What fuzzing has found, and its seeds, once more: every file of
 * fuzz/corpus/NAME through the target NAME.
 */
#include "tests/unit/unit.h"

#include <dirent.h>

#include "fuzz/fuzz.h"
#include "lib/base/file.h"
#include "lib/wire/wire.h"

#define INPUT_MAX (1 << 20)

static size_t
replay(const char *name, fuzz_fn *fn)
{
	const struct dirent *ent;
	char dir[512], path[1024];
	struct buf in = {0};
	size_t n = 0;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), CORPUS "/%s", name);
	d = opendir(dir);
	if (d == NULL)
		fail_msg("%s: no corpus", dir);
	while (d != NULL && (ent = readdir(d)) != NULL) {
		if (ent->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name);
		assert_int_equal(file_read(path, INPUT_MAX, &in), ERR_OK);
		fn((const uint8_t *)in.p, in.len);
		buf_free(&in);
		in = (struct buf){0};
		n++;
	}
	(void)closedir(d);
	return n;
}

#define REPLAY(name) \
	static void \
	name##_keeps_its_promises_on_all_that_was_found(void **state) \
	{ \
		(void)state; \
		assert_true(replay(#name, fuzz_##name) > 0); \
	}
REPLAY(record)
REPLAY(token)
REPLAY(jwks)
REPLAY(assertion)
REPLAY(pskid)
REPLAY(jwe)
REPLAY(wire)
REPLAY(base)
REPLAY(revoke)
REPLAY(serial)

#define CASE(name) \
	cmocka_unit_test(name##_keeps_its_promises_on_all_that_was_found)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(record), CASE(token), CASE(jwks), CASE(assertion),
	    CASE(pskid), CASE(jwe), CASE(wire), CASE(base), CASE(revoke),
	    CASE(serial)};

	wire_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
