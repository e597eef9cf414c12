/*
 * lib/model: only well-formed names pass, every word goes both ways, and a
 * bad scan or a careless order is refused before a number is taken.
 */
#include "tests/unit/unit.h"

#include "lib/model/caller.h"
#include "lib/model/device.h"
#include "lib/model/event.h"
#include "lib/model/order.h"

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16

static void
names_that_fit_are_taken(void **state)
{
	assert_true(name_is_tenant("a-0"));
	assert_true(name_is_tenant(X64));
	assert_true(name_is_device_id("A:b_c.d-9"));
	assert_true(name_is_audience("edge.plant-1"));
	assert_true(name_is_order("O_1.x-Y"));
	assert_true(name_is_serial("SN/1+2:3_4.5-6"));
	assert_true(name_is_host("edge-1.example.com"));
	assert_true(name_is_host("192.0.2.1"));
	assert_true(name_is_host("2001:db8::1"));
	assert_true(name_is_host("::1"));
	assert_true(name_is_host("localhost"));
	assert_true(name_is_host("3com.example"));
	assert_true(name_is_scope("a:read b!#$"));
}

static void
malformed_names_are_refused_everywhere(void **state)
{
	static const char *const bad[] = {
	    "",	    X64 "x", " ",	 "a b",	 "a\n", "\na",
	    "a\t",  "a\"b",  "a\\b",	 "a'b",	 "a;b", "a%00",
	    "\x7f", "a\x01", "\xc3\xa4", "\xff", "a,b", "a*",
	    "a?",   "a|b",   "a<b",	 "${a}", "a@b", "a#b",
	    "a=b",  "a&b",   "a(b)",	 "a[b]", "a~"};
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		assert_case(!name_is_tenant(bad[i]), bad[i]);
		assert_case(!name_is_device_id(bad[i]), bad[i]);
		assert_case(!name_is_audience(bad[i]), bad[i]);
		assert_case(!name_is_order(bad[i]), bad[i]);
		assert_case(!name_is_serial(bad[i]), bad[i]);
	}
	assert_false(name_is_tenant(NULL));
	assert_false(name_is_tenant("Upper"));
	assert_false(name_is_tenant("a.b"));
	assert_false(name_is_audience("Upper"));
	assert_false(name_is_audience("a_b"));
	assert_false(name_is_audience("a:b"));
	assert_false(name_is_order("a:b"));
	assert_false(name_is_order("../x"));
	assert_false(name_is_device_id("a/b"));
	assert_false(name_is_device_id("a+b"));
}

static void
malformed_hosts_are_refused(void **state)
{
	static const char *const bad[] = {"",	       ".",
					  "a.",	       ".a",
					  "a..b",      "-a",
					  "a-",	       "a.-b",
					  "a_b",       "a b",
					  "a:443",     "[::1]",
					  "256.1.1.1", "1.2.3",
					  "1.2.3.4.5", ":::",
					  "1::2::3",   "12345::",
					  "a/b",       "user@host",
					  "01.2.3.4",  "fe80::1%eth0",
					  X64 ".com",  "http://a"};
	char big[300];
	size_t i;

	for (i = 0; i < COUNT(bad); i++)
		assert_case(!name_is_host(bad[i]), bad[i]);
	for (i = 0; i < sizeof(big) - 1; i++)
		big[i] = i % 2 == 0 ? 'a' : '.';
	big[253] = '\0';
	assert_true(name_is_host(big));
	big[253] = '.';
	big[255] = '\0';
	assert_false(name_is_host(big));
	assert_false(name_is_host(NULL));
}

static void
malformed_scopes_are_refused(void **state)
{
	static const char *const bad[] = {"",	  " ",	  " a",	     "a ",
					  "a  b", "a\"",  "a\\",     "a\tb",
					  "a\n",  "\x7f", "\xc3\xa4"};
	char big[257];
	size_t i;

	for (i = 0; i < COUNT(bad); i++)
		assert_case(!name_is_scope(bad[i]), bad[i]);
	memset(big, 'a', sizeof(big));
	big[256] = '\0';
	assert_false(name_is_scope(big));
	big[255] = '\0';
	assert_true(name_is_scope(big));
	assert_false(name_is_scope(NULL));
}

/* Every word of an enumeration reads back; others do not. */
#define BOTH_WAYS(type, first, last, name, parse)                              \
	do {                                                                   \
		int i_;                                                        \
		type v_;                                                       \
		for (i_ = (first); i_ <= (int)(last); i_++) {                  \
			assert_int_equal(parse(name((type)i_), &v_), ERR_OK);  \
			assert_int_equal(v_, i_);                              \
		}                                                              \
		assert_int_equal(parse("unknown", &v_), ERR_REQUEST);          \
		assert_int_equal(parse("", &v_), ERR_REQUEST);                 \
		assert_int_equal(parse(NULL, &v_), ERR_REQUEST);               \
		assert_string_equal(name((type)((last) + 1)), "unknown");      \
	} while (0)

static void
every_word_goes_both_ways(void **state)
{
	enum role roles[] = {ROLE_STATION, ROLE_GATEWAY, ROLE_ADMIN,
			     ROLE_REVOKER, ROLE_AUDITOR},
		  r;
	size_t i;

	BOTH_WAYS(enum device_state, 0, DEV_VOID, device_state_name,
		  device_state_parse);
	BOTH_WAYS(enum proof, 0, PROOF_DEVICE_MADE, proof_name, proof_parse);
	BOTH_WAYS(enum reburn, 0, REBURN_APPROVAL, reburn_name, reburn_parse);
	BOTH_WAYS(enum group_kind, 0, GROUP_FREE, group_kind_name,
		  group_kind_parse);
	BOTH_WAYS(enum event_kind, 1, EV_SIGNING_KEY, event_kind_name,
		  event_kind_parse);
	BOTH_WAYS(enum event_effect, 1, EFFECT_LIFT, event_effect_name,
		  event_effect_parse);
	for (i = 0; i < COUNT(roles); i++) {
		assert_int_equal(role_parse(role_name(roles[i]), &r), ERR_OK);
		assert_int_equal(r, roles[i]);
	}
	assert_int_equal(role_parse("root", &r), ERR_REQUEST);
	assert_string_equal(role_name((enum role)3), "unknown");
	assert_string_equal(event_kind_name((enum event_kind)0), "unknown");
}

static void
only_an_active_device_may_authenticate(void **state)
{
	int i;

	for (i = -1; i <= DEV_VOID + 1; i++)
		assert_int_equal(device_state_refusal((enum device_state)i) ==
				     ERR_OK,
				 i == DEV_ACTIVE);
	assert_int_equal(device_state_refusal(DEV_SUSPENDED),
			 ERR_DEVICE_SUSPENDED);
	assert_int_equal(device_state_refusal(DEV_REVOKED), ERR_DEVICE_REVOKED);
}

static void
only_what_was_active_had_a_proof(void **state)
{
	static const int had[] = {[DEV_ACTIVE] = 1, [DEV_SUSPENDED] = 1,
	    [DEV_REVOKED] = 1, [DEV_VOID] = 0};
	struct device d = {.dn = 1};
	int i;

	for (i = DEV_RESERVED; i <= DEV_VOID; i++) {
		d.state = (enum device_state)i;
		assert_int_equal(device_had_proof(&d), had[i]);
	}
}

static void
event_number_reads_numbers_of_numbered_kinds_only(void **state)
{
	struct event e = {.kind = EV_DEVICE, .id = "42"};

	assert_int_equal(event_number(&e), 42);
	e.kind = EV_TOKEN;
	assert_int_equal(event_number(&e), 0);
	e.kind = EV_GROUP;
	strcpy(e.id, "9007199254740992");
	assert_int_equal(event_number(&e), 0);
	strcpy(e.id, "4x");
	assert_int_equal(event_number(&e), 0);
}

static void
what_could_be_a_credential_is_known(void **state)
{
	static const char whole[] =
	    "fc_0123456789012345678901234567890123456789012";

	assert_true(may_be_credential(whole));
	assert_true(may_be_credential("no device fc_012345678901234567"));
	/* the first that looks like one need not be the one */
	assert_true(may_be_credential("fc_a fc_012345678901234567"));
	assert_true(may_be_credential("fc_fc_a:fc_012345678901234567"));
	assert_false(may_be_credential("fc_a fc_01 fc_"));
	assert_false(may_be_credential("no device fc_01 in order 012345"));
	assert_false(may_be_credential(""));
}

static void
caller_has_only_its_audiences(void **state)
{
	struct caller c = {.audiences = {"a", "b"}, .naudiences = 1};

	assert_true(caller_has_audience(&c, "a"));
	assert_false(caller_has_audience(&c, "b"));
	assert_false(caller_has_audience(&c, ""));
	assert_false(caller_has_audience(&c, "authority"));
}

static struct order
good_order(void)
{
	struct order o = {.name = "O-1",
			  .model = "m1",
			  .quantity = 10,
			  .expires_at = 1,
			  .min_proof = PROOF_MEDIUM,
			  .serial_pattern = "SN-[0-9]{6}",
			  .id_template = "{model}-{n:6}",
			  .scope = "telemetry",
			  .stations = {"line-1"},
			  .nstations = 1,
			  .peers = {"edge.plant-1"},
			  .npeers = 1};

	return o;
}

static void
an_order_is_checked_member_by_member(void **state)
{
	static const struct {
		const char *member, *serial_pattern, *id_template;
	} bad[] = {{"serial_pattern", "", "{n}"},
		   {"serial_pattern", "(", "{n}"},
		   {"serial_pattern", "[a", "{n}"},
		   {"serial_pattern", "a{,3}", "{n}"},
		   {"serial_pattern", "a{", "{n}"},
		   {"serial_pattern", "(a)\\1", "{n}"},
		   {"serial_pattern", "a\nb", "{n}"},
		   {"serial_pattern", "((a{99}){99}){99}", "{n}"},
		   {"serial_pattern", "a{99999999999999999999}", "{n}"},
		   {"serial_pattern", "a++++++++++++++++++++++++++++++", "{n}"},
		   {"serial_pattern", "a+????????????????????????????????", "{n}"},
		   {"serial_pattern", "a{2}{3}", "{n}"},
		   {"serial_pattern", "((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)",
		    "{n}"},
		   {"id_template", "x", ""},
		   {"id_template", "x", "same"},
		   {"id_template", "x", "{n"},
		   {"id_template", "x", "{n:}"},
		   {"id_template", "x", "{n:0}"},
		   {"id_template", "x", "{n:11}"},
		   {"id_template", "x", "{n}{what}"},
		   {"id_template", "x", "{n}}"},
		   {"id_template", "x", "{n} "},
		   {"id_template", "x", "{n}/"},
		   {"id_template", "x", "{serial}{}"}};
	struct order o = good_order();
	struct detail d = {0};
	size_t i;

	assert_int_equal(order_validate(&o, &d), ERR_OK);
	assert_string_equal(d.text, "");
	for (i = 0; i < COUNT(bad); i++) {
		o = good_order();
		strcpy(o.serial_pattern, bad[i].serial_pattern);
		strcpy(o.id_template, bad[i].id_template);
		d.text[0] = '\0';
		assert_case(order_validate(&o, &d) != ERR_OK,
			    bad[i].serial_pattern);
		assert_case(strstr(d.text, bad[i].member) == d.text, d.text);
	}
}

#define REFUSED(change, member)                                                \
	do {                                                                   \
		struct order o = good_order();                                 \
		struct detail d = {0};                                         \
		change;                                                        \
		assert_int_not_equal(order_validate(&o, &d), ERR_OK);          \
		assert_case(strstr(d.text, (member)) == d.text, d.text);       \
	} while (0)

static void
an_order_out_of_bounds_is_refused(void **state)
{
	REFUSED(o.name[0] = '\0', "name");
	REFUSED(o.model[0] = '/', "model");
	REFUSED(o.quantity = 0, "quantity");
	REFUSED(o.quantity = ORDER_QUANTITY_MAX + 1, "quantity");
	REFUSED(o.expires_at = 0, "expires_at");
	REFUSED(o.min_proof = PROOF_NONE, "min_proof");
	REFUSED(o.reburn = (enum reburn)3, "reburn");
	REFUSED(o.scope[0] = ' ', "scope");
	REFUSED(o.nstations = ORDER_STATIONS_MAX + 1, "stations");
	REFUSED(o.stations[0][0] = ' ', "stations[0]");
	REFUSED(o.npeers = ORDER_PEERS_MAX + 1, "peers");
	REFUSED(strcpy(o.peers[0], "authority"), "peers[0]");
	REFUSED(o.npeers = 2; strcpy(o.peers[1], o.peers[0]), "peers[1]");
}

static void
a_bad_scan_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "SN-12345",
					  "SN-1234567",
					  "xSN-123456",
					  "SN-123456x",
					  "sn-123456",
					  "SN-12345a",
					  "SN-123456\n",
					  "\nSN-123456",
					  "SN-123456\nSN-123456",
					  "SN 123456",
					  "SN-123456 ",
					  "SN-\xd9\xa1"
					  "23456"};
	struct order o = good_order();
	size_t i;

	assert_int_equal(order_check_serial(&o, "SN-123456"), ERR_OK);
	for (i = 0; i < COUNT(bad); i++)
		assert_case(order_check_serial(&o, bad[i]) ==
				ERR_SERIAL_PATTERN,
			    bad[i]);
}

static void
a_pattern_cannot_slip_out_of_its_anchors(void **state)
{
	struct order o = good_order();

	strcpy(o.serial_pattern, "a)|(b");
	assert_int_equal(order_check_serial(&o, "ax"), ERR_SERIAL_PATTERN);
	assert_int_equal(order_check_serial(&o, "xb"), ERR_SERIAL_PATTERN);
	strcpy(o.serial_pattern, "a|ab");
	assert_int_equal(order_check_serial(&o, "a"), ERR_OK);
	assert_int_equal(order_check_serial(&o, "ab"), ERR_OK);
	assert_int_equal(order_check_serial(&o, "abb"), ERR_SERIAL_PATTERN);
	o.serial_pattern[0] = '\0';
	assert_int_equal(order_check_serial(&o, "a"), ERR_SERIAL_PATTERN);
}

static void
templates_make_device_ids(void **state)
{
	static const struct {
		const char *template, *id;
	} good[] = {{"{serial}", "S1"},
		    {"{model}-{n}", "m1-7"},
		    {"{n:8}", "00000007"},
		    {"{order}:{serial}.{n:1}", "O-1:S1.7"},
		    {"{n:10}", "0000000007"}};
	struct order o = good_order();
	name_t id = "untouched";
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		strcpy(o.id_template, good[i].template);
		assert_case(order_device_id(&o, "S1", 7, id) == ERR_OK,
			    good[i].template);
		assert_string_equal(id, good[i].id);
	}
	strcpy(o.id_template, "{serial}");
	assert_int_equal(order_device_id(&o, "S/1", 7, id), ERR_NAME);
	assert_int_equal(order_device_id(&o, X64 "x", 7, id), ERR_NAME);
	assert_int_equal(order_device_id(&o, X64, 7, id), ERR_OK);
	strcpy(o.id_template, "{serial}x");
	assert_int_equal(order_device_id(&o, X64, 7, id), ERR_NAME);
	assert_string_equal(id, X64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_that_fit_are_taken),
	    cmocka_unit_test(malformed_names_are_refused_everywhere),
	    cmocka_unit_test(malformed_hosts_are_refused),
	    cmocka_unit_test(malformed_scopes_are_refused),
	    cmocka_unit_test(every_word_goes_both_ways),
	    cmocka_unit_test(only_an_active_device_may_authenticate),
	    cmocka_unit_test(only_what_was_active_had_a_proof),
	    cmocka_unit_test(event_number_reads_numbers_of_numbered_kinds_only),
	    cmocka_unit_test(caller_has_only_its_audiences),
	    cmocka_unit_test(what_could_be_a_credential_is_known),
	    cmocka_unit_test(an_order_is_checked_member_by_member),
	    cmocka_unit_test(an_order_out_of_bounds_is_refused),
	    cmocka_unit_test(a_bad_scan_is_refused),
	    cmocka_unit_test(a_pattern_cannot_slip_out_of_its_anchors),
	    cmocka_unit_test(templates_make_device_ids),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
