/*
 * The JSON families: each value comes back as it went, and whatever is not
 * the one object a decoder takes is refused with its code and a detail that
 * names the member. Malformed ones are made from the good ones: each member
 * absent, doubled, of each other type; and an unknown member.
 */
#include "tests/unit/unit.h"

#include <jansson.h>

#include "lib/wire/burn.h"
#include "lib/wire/feed.h"
#include "lib/wire/problem.h"
#include "lib/wire/registry.h"

#define ID44 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define B32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define B64 \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" \
	"gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw"
#define T "\"2026-11-22T17:34:37Z\""
#define DEVICE "{\"device_id\":\"d-1\",\"number\":5,\"serial\":\"S1\"," \
	"\"order\":\"o\",\"model\":\"m\",\"state\":\"active\",\"proof\":" \
	"\"medium\",\"epoch\":1,\"groups\":[1,2],\"created_at\":" T \
	",\"changed_at\":" T "}"
#define ORDER "\"name\":\"o\",\"model\":\"m\",\"quantity\":10," \
	"\"expires_at\":" T ",\"stations\":[\"st\"],\"serial_pattern\":" \
	"\"S[0-9]+\",\"device_id_template\":\"{serial}\",\"peers\":" \
	"[\"broker\"],\"scope\":\"device\",\"policy\":{\"reburn\":\"never\"," \
	"\"min_proof\":\"device\",\"rotate_on_first_contact\":true,"           \
	"\"possible_clone\":\"suspend\"},\"derived\":false"
#define PEER "{\"audience\":\"broker\",\"host\":\"b.example\",\"port\":8883," \
	"\"identity\":\"" ID44 "\"}"

static struct detail why;

/* Each decodes, and encodes again where there is an encoder. */
#define DECODER(fn, type, decode, encode)                                     \
	static enum err fn(const char *s, size_t n, struct buf *again)        \
	{                                                                     \
		type v;                                                       \
		enum err e = decode;                                          \
		return e == ERR_OK ? encode : e;                              \
	}

DECODER(order, struct order, wire_order_decode(s, n, &v, &why),
    jout(wire_order_json(&v), again))
DECODER(release_request, struct release_request,
    wire_release_request_decode(s, n, &v, &why),
    wire_release_request_encode(&v, again))
DECODER(release, struct release, wire_release_decode(s, n, &v, &why),
    wire_release_encode(&v, again))
DECODER(confirm, struct confirm, wire_confirm_decode(s, n, &v, &why),
    wire_confirm_encode(&v, again))
DECODER(psk_request, struct psk_request,
    wire_psk_request_decode(s, n, &v, &why),
    wire_psk_request_encode(&v, again))
DECODER(psk_answer, struct psk_answer,
    wire_psk_answer_decode(s, n, &v, &why), wire_psk_answer_encode(&v, again))
DECODER(psk_used, struct psk_used, wire_psk_used_decode(s, n, &v, &why),
    wire_psk_used_encode(&v, again))
DECODER(identity_keys, struct identity_keys,
    wire_identity_keys_decode(s, n, &v, &why),
    wire_identity_keys_encode(&v, again))

/* An order without what the server makes. */
static enum err
order_request(const char *s, size_t n, struct buf *again)
{
	static const char *const made[] = {"closed", "issued", "group",
	    "model_group", "created_at"};
	struct order v;
	enum err e = wire_order_request_decode(s, n, &v, &why);
	json_t *o;
	size_t i;

	if (e != ERR_OK)
		return e;
	o = wire_order_json(&v);
	for (i = 0; i < COUNT(made); i++)
		assert_int_equal(json_object_del(o, made[i]), 0);
	return jout(o, again);
}

static enum err
revocation(const char *s, size_t n, struct buf *again)
{
	struct revocation_request v;
	enum err e = wire_revocation_request_decode(s, n, &v, &why);

	return e != ERR_OK ? e : jout(json_pack("{ss ss ss sI sb ss}",
	    "kind", event_kind_name(v.kind), "id", v.id, "effect",
	    event_effect_name(v.effect), "expect", (json_int_t)v.expect,
	    "dry_run", v.dry_run, "reason", v.reason), again);
}

static enum err
serial(const char *s, size_t n, struct buf *again)
{
	name_t v;
	enum err e = wire_serial_decode(s, n, v, &why);

	return e == ERR_OK ? wire_serial_encode(v, again) : e;
}

static enum err
feed(const char *s, size_t n, struct buf *again)
{
	struct feed_page p;
	enum err e = wire_feed_decode(s, n, &p, &why);

	if (e != ERR_OK)
		return e;
	e = wire_feed_encode(&p, again);
	feed_page_free(&p);
	return e;
}

static enum err
parsed_device(const char *s, size_t n, struct buf *again)
{
	json_t *o = json_loadb(s, n, JSON_REJECT_DUPLICATES, NULL);
	struct device d;
	enum err e = wire_device_decode_json(o, &d, &why);

	json_decref(o);
	return e == ERR_OK ? jout(wire_device_json(&d), again) : e;
}

static enum err
rotate_proof(const char *s, size_t n, struct buf *again)
{
	struct confirm c;

	(void)again;
	return wire_rotate_proof_decode(s, n, &c, &why);
}

static enum err
audience(const char *s, size_t n, struct buf *again)
{
	struct audience a;
	enum err e = wire_audience_request_decode(s, n, &a, &why);

	(void)again;
	return e;
}

static enum err
group(const char *s, size_t n, struct buf *again)
{
	name_t v;

	(void)again;
	return wire_group_request_decode(s, n, v, &why);
}

static enum err
tenant(const char *s, size_t n, struct buf *again)
{
	name_t v;

	(void)again;
	return wire_tenant_request_decode(s, n, v, &why);
}

static enum err
caller(const char *s, size_t n, struct buf *again)
{
	struct caller c;

	(void)again;
	return wire_caller_request_decode(s, n, &c, &why);
}

static const struct {
	const char *name, *good;
	enum err (*decode)(const char *s, size_t n, struct buf *again);
	int same;	      /* encodes to the same text */
	const char *optional; /* members that may be absent, with commas */
} families[] = {
    {"order_request", "{" ORDER "}", order_request, 1, ",stations,"
	"serial_pattern,device_id_template,scope,policy,derived,"},
    {"order", "{" ORDER ",\"closed\":false,\"issued\":3,\"group\":7,"
	"\"model_group\":8,\"created_at\":" T "}", order, 1, ",stations,"
	"serial_pattern,device_id_template,scope,policy,derived,closed,"},
    {"serial", "{\"serial\":\"S1\"}", serial, 1, ""},
    {"release_request", "{\"epoch\":1,\"station_key\":{\"kty\":\"EC\"}}",
	release_request, 1, ""},
    {"release", "{\"key\":\"a.b.c.d.e\",\"device\":" DEVICE
	",\"challenge\":\"" B32 "\",\"issuer\":\"https://x\",\"peers\":["
	PEER "]}", release, 1, ""},
    {"confirm", "{\"epoch\":1,\"challenge\":\"" B32 "\",\"answer\":\"" B32
	"\",\"proof\":\"medium\"}", confirm, 1, ""},
    {"revocation", "{\"kind\":\"group\",\"id\":\"7\",\"effect\":\"block\","
	"\"expect\":0,\"dry_run\":true,\"reason\":\"lost\"}", revocation, 1,
	",expect,dry_run,reason,"},
    {"psk_request", "{\"identity\":\"" ID44 "\",\"audience\":\"broker\","
	"\"tls\":\"1.3\"}", psk_request, 1, ""},
    {"psk_answer", "{\"key\":\"" B32 "\",\"device_id\":\"d-1\","
	"\"device_number\":5,\"epoch\":1,\"groups\":[1],\"position\":9}",
	psk_answer, 1, ""},
    {"identity_keys", "{\"audience\":\"broker\",\"tenant\":1,\"keys\":[{"
	"\"kid\":255,\"key\":\"" B32 "\"}]}", identity_keys, 1, ""},
    {"feed", "{\"events\":[{\"pos\":4,\"kind\":\"device\",\"id\":\"5\","
	"\"effect\":\"cut\",\"ep_max\":2,\"exp\":0,\"at\":" T "},{\"pos\":6,"
	"\"kind\":\"token\",\"id\":\"jti\",\"effect\":\"cut\",\"ep_max\":0,"
	"\"exp\":1800000000,\"at\":" T "}],\"head\":6,\"floor\":0,"
	"\"time\":1800000000}", feed, 1, ""},
    {"device", DEVICE, parsed_device, 1, ""},
    {"audience", "{\"host\":\"b.example\",\"port\":8883,\"retired\":false}",
	audience, 0, ",retired,"},
    {"group", "{\"name\":\"g\"}", group, 0, ""},
    {"tenant", "{\"name\":\"acme\"}", tenant, 0, ""},
    {"caller", "{\"name\":\"gw\",\"role\":\"gateway\",\"audiences\":["
	"\"broker\"]}", caller, 0, ",audiences,"},
    {"release_request", "{\"epoch\":1,\"device_key\":{\"kty\":\"EC\"}}",
	release_request, 1, ""},
    {"confirm", "{\"epoch\":1,\"challenge\":\"" B32 "\",\"answer\":\"" B64
	"\",\"proof\":\"device-made\"}", confirm, 1, ""},
    {"psk_answer of a pending epoch", "{\"key\":\"" B32 "\",\"device_id\":"
	"\"d-1\",\"device_number\":5,\"epoch\":2,\"groups\":[1],"
	"\"pending\":true,\"position\":9}", psk_answer, 1, ",pending,"},
    {"psk_used", "{\"audience\":\"broker\",\"identities\":[\"" ID44
	"\"]}", psk_used, 1, ""},
    {"rotate_proof", "{\"epoch\":2,\"challenge\":\"" B32 "\",\"answer\":"
	"\"" B32 "\"}", rotate_proof, 0, ""},
    {"a device that rotates", "{\"device_id\":\"d-1\",\"number\":5,"
	"\"serial\":\"S1\",\"order\":\"o\",\"model\":\"m\",\"state\":"
	"\"active\",\"proof\":\"medium\",\"epoch\":1,\"pending_epoch\":2,"
	"\"possible_clone\":{\"count\":3,\"last_at\":" T ",\"epoch\":1},"
	"\"groups\":[],\"created_at\":" T ",\"changed_at\":" T "}",
	parsed_device, 1, ",pending_epoch,possible_clone,"},
};

static void
what_is_encoded_comes_back(void **state)
{
	struct buf again = {.max = 8192};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		buf_reset(&again);
		why.text[0] = '\0';
		if (families[i].decode(families[i].good,
		    strlen(families[i].good), &again) != ERR_OK)
			fail_msg("%s: %s", families[i].name, why.text);
		if (families[i].same)
			assert_string_equal(again.p, families[i].good);
	}
	buf_free(&again);
}

static enum err
decode_value(size_t i, const json_t *o)
{
	struct buf again = {.max = 8192};
	char *text = json_dumps(o, JSON_COMPACT);
	enum err e;

	assert_non_null(text);
	why.text[0] = '\0';
	e = families[i].decode(text, strlen(text), &again);
	free(text);
	buf_free(&again);
	return e;
}

static int
is_optional(size_t i, const char *member)
{
	char want[80];

	(void)snprintf(want, sizeof(want), ",%s,", member);
	return strstr(families[i].optional, want) != NULL;
}

static void
must_name(size_t i, const char *member, enum err e)
{
	if (e == ERR_OK || strstr(why.text, member) == NULL)
		fail_msg("%s: member %s: %s, \"%s\"", families[i].name,
		    member, err_name(e), why.text);
}

/* Values of every type; those that a member may have by chance are left. */
static json_t *
odd_value(size_t j)
{
	switch (j) {
	case 0:
		return json_null();
	case 1:
		return json_integer(-1);
	case 2:
		return json_real(1.5);
	case 3:
		return json_integer(INT64_C(9007199254740992));
	case 4:
		return json_pack("{s:i}", "odd", 1);
	case 5:
		return json_pack("[[]]");
	default:
		return NULL;
	}
}

static void
spoil(size_t i, const char *member)
{
	json_t *o = json_loads(families[i].good, 0, NULL), *odd;
	size_t j;

	for (j = 0; (odd = odd_value(j)) != NULL; j++) {
		json_object_set_new(o, member, odd);
		/* A JWK is looked at by who uses it. */
		if (strstr(member, "_key") != NULL && j == 4)
			continue;
		must_name(i, json_is_object(odd) && (strcmp(member,
		    "device") == 0 || strcmp(member, "policy") == 0 ||
		    strcmp(member, "possible_clone") == 0) ?
		    "" : member, decode_value(i, o));
	}
	json_object_del(o, member);
	if (is_optional(i, member))
		assert_case(decode_value(i, o) == ERR_OK, member);
	else
		must_name(i, member, decode_value(i, o));
	json_decref(o);
}

static void
each_member_of_another_type_is_refused_by_name(void **state)
{
	const char *member;
	size_t i, n = 0;
	json_t *o, *v;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		o = json_loads(families[i].good, 0, NULL);
		assert_non_null(o);
		json_object_foreach(o, member, v) {
			spoil(i, member);
			n += 7;
		}
		json_decref(o);
	}
	print_message("%zu malformed bodies\n", n);
	assert_true(n > 300);
}

static void
unknown_members_are_refused_by_name(void **state)
{
	json_t *o;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		o = json_loads(families[i].good, 0, NULL);
		json_object_set_new(o, "surplus", json_integer(1));
		assert_int_equal(decode_value(i, o), ERR_JSON);
		assert_case(strstr(why.text, "surplus") != NULL, why.text);
		json_decref(o);
	}
}

static void
what_is_no_single_object_is_refused(void **state)
{
	static const char *const bad[] = {"", " ", "null", "[]", "1", "\"x\"",
	    "{", "{}x", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{'a':1}",
	    "{\"a\":01}", "{\"a\":NaN}", "{\"a\":1e999}", "{,}",
	    "\xef\xbb\xbf{}", "{\"\xff\":1}", "{\"a\":\"\\ud800\"}",
	    "{\"a\":99999999999999999999}"};
	struct buf again = {.max = 8192};
	char *deep = calloc(1, 9000);
	size_t i, j;
	enum err e;

	(void)state;
	assert_non_null(deep);
	memset(deep, '[', 8000);
	for (i = 0; i < COUNT(families); i++) {
		for (j = 0; j < COUNT(bad); j++) {
			why.text[0] = '\0';
			e = families[i].decode(bad[j], strlen(bad[j]),
			    &again);
			assert_case(e == ERR_JSON, bad[j]);
			assert_true(why.text[0] != '\0');
		}
		assert_int_equal(families[i].decode(deep, 8000, &again),
		    ERR_JSON);
	}
	free(deep);
	buf_free(&again);
}

static void
values_that_are_not_allowed_are_refused_by_name(void **state)
{
	static const struct {
		size_t family;
		const char *member, *value;
		enum err want;
	} cases[] = {{2, "serial", "\"a b\"", ERR_NAME},
	    {2, "serial", "\"\"", ERR_NAME},
	    {3, "epoch", "0", ERR_JSON}, {3, "station_key", "{}", ERR_OK},
	    {5, "proof", "\"none\"", ERR_JSON},
	    {5, "proof", "\"\"", ERR_JSON},
	    {5, "answer", "\"" B64 "\"", ERR_JSON},
	    {5, "challenge", "\"AAAA\"", ERR_JSON},
	    {5, "answer", "\"" B32 "=\"", ERR_JSON},
	    {6, "id", "\"01\"", ERR_JSON},
	    {6, "kind", "\"planet\"", ERR_JSON},
	    {6, "effect", "\"kill\"", ERR_JSON},
	    {6, "id", "\"0\"", ERR_JSON}, {6, "id", "\"x\"", ERR_JSON},
	    {6, "id", "\"4294967296\"", ERR_JSON},
	    {6, "exp", "5", ERR_JSON}, {7, "tls", "\"1.1\"", ERR_JSON},
	    {7, "audience", "\"A\"", ERR_NAME},
	    {9, "tenant", "4294967296", ERR_JSON},
	    {10, "head", "5", ERR_JSON}, {11, "state", "\"odd\"", ERR_JSON},
	    {11, "device_id", "\"a/b\"", ERR_NAME},
	    {11, "groups", "[1,2,3,4,5,6,7,8,9]", ERR_JSON},
	    {12, "port", "0", ERR_JSON}, {12, "port", "65536", ERR_JSON},
	    {12, "host", "\"a b\"", ERR_NAME}, {13, "name", "\"\"", ERR_NAME},
	    {14, "name", "\"A\"", ERR_NAME}, {15, "role", "\"\"", ERR_JSON},
	    {15, "role", "\"root\"", ERR_JSON},
	    {15, "audiences", "[\"A\"]", ERR_NAME},
	    {0, "quantity", "0", ERR_REQUEST},
	    {0, "quantity", "100000001", ERR_JSON},
	    {0, "expires_at", "\"soon\"", ERR_JSON},
	    {0, "expires_at", "\"2026-13-01T00:00:00Z\"", ERR_JSON},
	    {0, "serial_pattern", "\"(\"", ERR_REQUEST},
	    {0, "closed", "false", ERR_JSON}, {0, "issued", "0", ERR_JSON},
	    {0, "name", "\"a b\"", ERR_NAME}};
	size_t i;
	json_t *o;
	enum err e;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		o = json_loads(families[cases[i].family].good, 0, NULL);
		json_object_set_new(o, cases[i].member,
		    json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		e = decode_value(cases[i].family, o);
		if (e != cases[i].want)
			fail_msg("%s %s: %s, \"%s\"", cases[i].member,
			    cases[i].value, err_name(e), why.text);
		if (e != ERR_OK)
			assert_case(strstr(why.text, cases[i].member) != NULL,
			    why.text);
		json_decref(o);
	}
}

static void
events_out_of_order_are_refused(void **state)
{
	static const char e1[] = "{\"pos\":6,\"kind\":\"device\",\"id\":\"5\","
	    "\"effect\":\"cut\",\"ep_max\":0,\"exp\":0,\"at\":" T "}";
	struct buf text = {.max = 4096}, again = {.max = 4096};

	(void)state;
	assert_int_equal(buf_fmt(&text, "{\"events\":[%s,%s],\"head\":9,"
	    "\"floor\":0,\"time\":1}", e1, e1), ERR_OK);
	assert_int_equal(feed(text.p, text.len, &again), ERR_JSON);
	buf_free(&text);
	buf_free(&again);
}

static void
the_key_in_the_envelope_comes_back(void **state)
{
	struct key32 k = {.b = {1, 2, 3}}, got;
	struct secret s = {0};
	uint32_t epoch;
	name_t id;

	(void)state;
	assert_int_equal(wire_key_encode("d-1", 3, &k, &s), ERR_OK);
	assert_int_equal(wire_key_decode(&s, id, &epoch, &got), ERR_OK);
	assert_string_equal(id, "d-1");
	assert_int_equal(epoch, 3);
	assert_memory_equal(&k, &got, sizeof(k));
	s.p[0] = '[';
	assert_int_equal(wire_key_decode(&s, id, &epoch, &got), ERR_JSON);
	secret_free(&s);
}

static void
problems_tell_their_code_and_never_fail(void **state)
{
	static const char *const odd[] = {"", "x", "[]", "{}",
	    "{\"code\":5}", "{\"code\":\"ok\"}", "{\"code\":\"from-mars\"}",
	    "{\"code\":\"internal\"}"};
	struct buf b = {.max = 2048};
	struct detail d = {"say \"why\""};
	struct problem p;
	size_t i;

	(void)state;
	assert_int_equal(wire_problem_devices_encode(ERR_EXPECT, &d, "r1", 17,
	    &b), ERR_OK);
	wire_problem_decode(409, b.p, b.len, &p);
	assert_int_equal(p.err, ERR_EXPECT);
	assert_int_equal(p.devices, 17);
	assert_string_equal(p.detail, "say \"why\"");
	assert_string_equal(p.request_id, "r1");
	buf_reset(&b);
	assert_int_equal(wire_oauth_error_encode(ERR_ASSERTION_TIME, &d, 99,
	    &b), ERR_OK);
	assert_string_equal(b.p, "{\"error\":\"invalid_client\","
	    "\"error_description\":\"say 'why'\",\"code\":\"assertion_time\","
	    "\"server_time\":99}");
	for (i = 0; i < COUNT(odd); i++) {
		wire_problem_decode(404, odd[i], strlen(odd[i]), &p);
		assert_case(p.err == ERR_NOT_FOUND || p.err == ERR_NOMEM,
		    odd[i]);
	}
	wire_problem_decode(503, NULL, 0, &p);
	assert_int_equal(p.err, ERR_NOT_READY);
	buf_free(&b);
}

static void
every_error_has_a_word_of_rfc_6749(void **state)
{
	static const char words[] = ",invalid_request,invalid_client,"
	    "invalid_grant,unauthorized_client,unsupported_grant_type,"
	    "invalid_scope,invalid_target,temporarily_unavailable,"
	    "server_error,";
	char want[80];
	int e;

	(void)state;
	for (e = ERR_REQUEST; e < ERR_COUNT; e++) {
		(void)snprintf(want, sizeof(want), ",%s,",
		    oauth_error((enum err)e));
		assert_case(strstr(words, want) != NULL, want);
	}
}

static void
reasons_may_be_absent_but_not_odd(void **state)
{
	char r[201];

	(void)state;
	assert_int_equal(wire_reason_decode("", 0, r, &why), ERR_OK);
	assert_string_equal(r, "");
	assert_int_equal(wire_reason_decode("{\"reason\":\"x\"}", 14, r,
	    &why), ERR_OK);
	assert_string_equal(r, "x");
	assert_int_equal(wire_reason_decode("{\"reason\":\"x\"}", 14, NULL,
	    &why), ERR_JSON);
	assert_int_equal(wire_reason_decode("{\"reason\":5}", 12, r, &why),
	    ERR_JSON);
}

static void
lists_say_where_they_go_on(void **state)
{
	struct buf b = {.max = 256};

	(void)state;
	assert_int_equal(jout(wire_list("rows", json_array(), 7), &b),
	    ERR_OK);
	assert_string_equal(b.p, "{\"rows\":[],\"next\":7}");
	buf_reset(&b);
	assert_int_equal(jout(wire_list("rows", json_array(), UINT64_MAX),
	    &b), ERR_OK);
	assert_string_equal(b.p, "{\"rows\":[]}");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_encoded_comes_back),
	    cmocka_unit_test(each_member_of_another_type_is_refused_by_name),
	    cmocka_unit_test(unknown_members_are_refused_by_name),
	    cmocka_unit_test(what_is_no_single_object_is_refused),
	    cmocka_unit_test(values_that_are_not_allowed_are_refused_by_name),
	    cmocka_unit_test(events_out_of_order_are_refused),
	    cmocka_unit_test(the_key_in_the_envelope_comes_back),
	    cmocka_unit_test(problems_tell_their_code_and_never_fail),
	    cmocka_unit_test(every_error_has_a_word_of_rfc_6749),
	    cmocka_unit_test(reasons_may_be_absent_but_not_odd),
	    cmocka_unit_test(lists_say_where_they_go_on),
	};

	wire_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
