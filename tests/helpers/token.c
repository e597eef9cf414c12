#include "tests/helpers/token.h"

#include "tests/unit/unit.h"

#include "lib/base/file.h"

static void
put(const struct tokens *t, const char *name, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	assert_int_equal(file_write_atomic(path, 0600, text, strlen(text)),
	    ERR_OK);
}

void
tokens_open(struct tokens *t)
{
	const char *in = getenv("FEALTY_TEST_DIR");
	char text[400];

	(void)snprintf(t->dir, sizeof(t->dir), "%.40s/tokensXXXXXX",
	    in == NULL ? "/tmp" : in);
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(text, sizeof(text), "%s/store", t->dir);
	assert_int_equal(dir_make(text, 0700), ERR_OK);
	(void)snprintf(text, sizeof(text), "directories.tokendir = %s/store\n"
	    "objectstore.backend = file\nlog.level = ERROR\n", t->dir);
	put(t, "softhsm2.conf", text);
	put(t, "pin", TOKEN_PIN "\n");
	(void)snprintf(text, sizeof(text), "%s/softhsm2.conf", t->dir);
	assert_int_equal(setenv("SOFTHSM2_CONF", text, 1), 0);
}

void
tokens_close(struct tokens *t)
{
	const char *argv[] = {"rm", "-rf", "--", t->dir, NULL};
	static struct ran r;

	if (t->dir[0] != '\0')
		assert_int_equal(process_run(argv, NULL, 60, &r), 0);
	t->dir[0] = '\0';
}

void
token_make(const struct tokens *t, const char *label)
{
	const char *argv[] = {"softhsm2-util", "--init-token", "--free",
	    "--label", label, "--pin", TOKEN_PIN, "--so-pin", TOKEN_PIN,
	    NULL};
	static struct ran r;

	(void)t;
	if (process_run(argv, NULL, 60, &r) != 0)
		fail_msg("softhsm2-util: %s%s", r.out, r.err);
}

const char *
token_query(const struct tokens *t, const char *module, char out[TOKEN_URI])
{
	(void)snprintf(out, TOKEN_URI, "module-path=%s&pin-source=file:%s/pin",
	    module, t->dir);
	return out;
}

const char *
token_uri(const struct tokens *t, const char *label, const char *query,
    char out[TOKEN_URI])
{
	char right[TOKEN_URI];

	assert_true(snprintf(out, TOKEN_URI, "pkcs11:token=%s?%s", label,
	    query != NULL ? query : token_query(t, SOFTHSM, right)) <
	    TOKEN_URI);
	return out;
}
