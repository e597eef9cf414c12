/*
 * file:DIR in its forms: what is read back is the record, byte for byte, or
 * a refusal; whatever happened to the file in between.
 */
#include "tests/unit/target_fixture.h"

#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/wire/record.h"
#include "provision-tool/form.h"

static const struct {
	const char *text, *name;
} forms[] = {
    {"file:%", "sn:1.cbor"},
    {"file:%,form=cbor", "sn:1.cbor"},
    {"file:%,form=env", "sn:1.env"},
    {"file:%,form=text", "sn:1.txt"},
};

static void
record_comes_back_whole_in_each_form_of_private_file(void **state)
{
	struct target_place *p = *state;
	struct stat st;
	char path[256];
	size_t i;

	for (i = 0; i < COUNT(forms); i++) {
		target_round(p, forms[i].text);
		(void)snprintf(path, sizeof(path), "%s/%s", p->root,
			       forms[i].name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(target_files(p), 3);
}

static void
full_disk_at_any_call_leaves_what_was_there(void **state)
{
	struct target_place *p = *state;
	size_t i;

	for (i = 1; i < COUNT(forms); i++)
		target_full_disk(p, forms[i].text);
}

/* Each octet changed, each length cut: never another record than written. */
static void
torn_or_changed_file_is_never_taken_for_a_record(void **state)
{
	struct target_place *p = *state;
	struct secret octets = {0}, back = {0};
	enum form f;
	size_t i, len;

	for (f = FORM_ENV; f <= FORM_TEXT; f++) {
		assert_int_equal(form_encode(f, &p->one, &octets, NULL),
				 ERR_OK);
		assert_int_equal(form_detect(&octets), f);
		for (i = 0; i < octets.len; i++) {
			octets.p[i] ^= 1;
			assert_int_equal(form_decode(f, &octets, &back, NULL),
					 ERR_RECORD);
			octets.p[i] ^= 1;
		}
		len = octets.len;
		for (octets.len = 0; octets.len < len; octets.len++)
			assert_int_equal(form_decode(f, &octets, &back, NULL),
					 ERR_RECORD);
		assert_int_equal(form_decode(f, &octets, &back, NULL), ERR_OK);
		assert_int_equal(back.len, p->one.len);
	}
	secret_free(&octets);
	secret_free(&back);
}

/* systemd and a shell have to read the same value. */
static void
issuer_that_an_environment_file_cannot_hold_is_refused(void **state)
{
	struct target_place *p = *state;
	struct secret out = {0}, record = {0};
	struct detail d = {""};
	struct record r;

	assert_int_equal(record_decode(p->one.p, p->one.len, &r, NULL),
			 ERR_OK);
	strcpy(r.issuer, "https://f.example/it's");
	assert_int_equal(record_encode(&r, &record), ERR_OK);
	assert_int_equal(form_encode(FORM_ENV, &record, &out, &d), ERR_RECORD);
	assert_non_null(strstr(d.text, "form=text"));
	assert_int_equal(form_encode(FORM_TEXT, &record, &out, NULL), ERR_OK);
	secret_free(&out);
	secret_free(&record);
}

static void
environment_file_means_the_same_to_a_shell(void **state)
{
	struct target_place *p = *state;
	struct target *t = target_at(p, "file:%,form=env");
	char line[512], out[256];
	FILE *f;

	assert_int_equal(target_write(t, ONE, &p->one, NULL), ERR_OK);
	(void)snprintf(line, sizeof(line),
		       ". '%s/sn:1.env' && echo \"$FEALTY_ISSUER "
		       "$FEALTY_DEVICE_ID $FEALTY_EPOCH $FEALTY_PEERS "
		       "$FEALTY_PEER_2_HOST $FEALTY_PEER_2_PORT\"",
		       p->root);
	f = popen(line, "r");
	assert_non_null(f);
	assert_non_null(fgets(out, sizeof(out), f));
	assert_int_equal(pclose(f), 0);
	assert_string_equal(out, "https://fealty.example sn:1 1 2 192.0.2.7 "
				 "8444\n");
	target_close(&t);
}

static void
options_that_mean_nothing_are_refused(void **state)
{
	struct target_place *p = *state;

	target_refused(p, "file:%,form=xml", "cbor, env or text");
	target_refused(p, "file:%,frm=env", "unknown option");
	target_refused(p, "file:%,form=env,form=env", "twice");
	target_refused(p, "file:%,", "unknown option");
	target_refused(p, "file:,form=env", "name the folder");
}

#define CASE(f) TARGET_CASE(f)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(record_comes_back_whole_in_each_form_of_private_file),
	    CASE(full_disk_at_any_call_leaves_what_was_there),
	    CASE(torn_or_changed_file_is_never_taken_for_a_record),
	    CASE(issuer_that_an_environment_file_cannot_hold_is_refused),
	    CASE(environment_file_means_the_same_to_a_shell),
	    CASE(options_that_mean_nothing_are_refused),
	};

	return cmocka_run_group_tests_name("target file", tests, NULL, NULL);
}
