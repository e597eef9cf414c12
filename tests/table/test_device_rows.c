/*
 * The rows of the device listener, over real TLS-PSK connections of a device
 * that was burned here; and what that listener does not take: other keys,
 * other suites, other routes.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fealty/device.h>
#include <fealty/device_openssl.h>

#include "tests/scenario/world.h"

static struct world w;

/* What one connection presents. */
struct psk {
	char identity[FEALTY_IDENTITY_LEN + 1];
	unsigned char key[FEALTY_KEY_LEN];
	int tls; /* 12 or 13 */
	const char *ciphers; /* of TLS 1.2; NULL: ECDHE-PSK */
	uint64_t options;
};

static void
psk_of(const char *serial, int tls, struct psk *out)
{
	char path[ROOM + 40], octets[FEALTY_RECORD_MAX];
	const struct fealty_peer *peer;
	struct fealty_record r;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/burned/%s.cbor", w.dir,
	    serial);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, octets, sizeof(octets));
	(void)close(fd);
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	peer = fealty_record_peer(&r, FEALTY_AUTHORITY);
	assert_non_null(peer);
	memset(out, 0, sizeof(*out));
	out->tls = tls;
	assert_int_equal(fealty_text_copy(&peer->identity, out->identity,
	    sizeof(out->identity)), FEALTY_OK);
	assert_int_equal(fealty_psk(&fealty_device_port_openssl, &r, peer,
	    tls == 13 ? FEALTY_TLS13 : FEALTY_TLS12, out->key), FEALTY_OK);
}

static unsigned
on_psk(SSL *s, const char *hint, char *identity, unsigned size,
    unsigned char *key, unsigned keysize)
{
	const struct psk *p = SSL_get_app_data(s);

	if (size < sizeof(p->identity) || keysize < sizeof(p->key))
		return 0;
	memcpy(identity, p->identity, sizeof(p->identity));
	memcpy(key, p->key, sizeof(p->key));
	return sizeof(p->key);
}

static int
tcp(void)
{
	const struct timeval limit = {60, 0};
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(authd_fixture_device(w.authd))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* A connection, or NULL when the handshake failed. */
static SSL *
dial(struct psk *p)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int version = p->tls == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
	SSL *s;

	assert_non_null(ctx);
	(void)SSL_CTX_set_min_proto_version(ctx, version);
	(void)SSL_CTX_set_max_proto_version(ctx, version);
	(void)SSL_CTX_set_options(ctx, p->options);
	SSL_CTX_set_psk_client_callback(ctx, on_psk);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx,
	    p->ciphers != NULL ? p->ciphers : "kECDHEPSK"), 1);
	s = SSL_new(ctx);
	SSL_CTX_free(ctx);
	assert_non_null(s);
	SSL_set_app_data(s, p);
	assert_int_equal(SSL_set_fd(s, tcp()), 1);
	if (SSL_connect(s) == 1)
		return s;
	(void)close(SSL_get_fd(s));
	SSL_free(s);
	ERR_clear_error();
	return NULL;
}

static void
hang_up(SSL *s)
{
	int fd = SSL_get_fd(s);

	(void)SSL_shutdown(s);
	SSL_free(s);
	(void)close(fd);
}

static int
content_length(const char *head)
{
	const char *p = strstr(head, "Content-Length: ");

	return p == NULL ? 0 : atoi(p + 16);
}

/* One exchange; the answer in w.a. */
static int
exchange(SSL *s, const char *text, size_t len)
{
	struct http_answer *a = &w.a;
	size_t n = 0, want;
	int r;

	memset(a, 0, sizeof(*a));
	if (SSL_write(s, text, (int)len) != (int)len)
		return 0;
	while (strstr(a->head, "\r\n\r\n") == NULL) {
		if (n + 1 >= sizeof(a->head) ||
		    SSL_read(s, a->head + n, 1) != 1)
			return 0;
		n++;
	}
	want = (size_t)content_length(a->head);
	assert_true(want < sizeof(a->body));
	while (a->body_len < want) {
		r = SSL_read(s, a->body + a->body_len,
		    (int)(want - a->body_len));
		if (r <= 0)
			return 0;
		a->body_len += (size_t)r;
	}
	a->status = atoi(a->head + 9);
	return a->status;
}

static int
ask(SSL *s, const char *method, const char *path, const char *form)
{
	char text[6000];
	int n;

	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: t\r\n"
	    "Authorization: Bearer %s\r\n%s%zu\r\n\r\n%s", method, path,
	    w.admin, form == NULL ? "X-None: " :
	    "Content-Type: application/x-www-form-urlencoded\r\n"
	    "Content-Length: ", form == NULL ? (size_t)0 : strlen(form),
	    form == NULL ? "" : form);
	assert_true(n > 0 && (size_t)n < sizeof(text));
	return exchange(s, text, (size_t)n);
}

static void
take_token(SSL *s, char out[TOKEN_ROOM])
{
	assert_int_equal(ask(s, "POST", "/oauth2/token",
	    "grant_type=client_credentials"), 200);
	assert_int_equal(http_member(&w.a, "access_token", out, TOKEN_ROOM),
	    0);
}

static int
introspect(const char *token)
{
	char form[TOKEN_ROOM + 8];

	(void)snprintf(form, sizeof(form), "token=%s", token);
	assert_int_equal(world_form(&w, "/oauth2/introspect", w.admin, form),
	    200);
	return strstr(w.a.body, "\"active\":true") != NULL;
}

static void
each_version_serves_the_device_with_its_own_key(void **state)
{
	static const int versions[] = {13, 12};
	char token[TOKEN_ROOM];
	struct psk p;
	size_t i;
	SSL *s;

	for (i = 0; i < COUNT(versions); i++) {
		psk_of("SN0001", versions[i], &p);
		s = dial(&p);
		assert_non_null(s);
		assert_int_equal(ask(s, "GET", "/v1/device", NULL), 200);
		assert_non_null(strstr(w.a.body, "\"device_id\":\"SN0001\""));
		assert_non_null(strstr(w.a.body, "\"state\":\"active\""));
		assert_int_equal(ask(s, "GET", "/v1/device/peers", NULL),
		    200);
		assert_non_null(strstr(w.a.body, "\"authority\""));
		take_token(s, token);
		hang_up(s);
		assert_true(introspect(token));
	}
}

static void
a_key_of_one_version_is_none_of_the_other(void **state)
{
	struct psk p;

	psk_of("SN0001", 13, &p);
	p.tls = 12;
	assert_null(dial(&p));
	psk_of("SN0001", 12, &p);
	p.tls = 13;
	assert_null(dial(&p));
}

/* What the peer of a failed handshake saw: alert or end, as a text. */
static void
failure_of(struct psk *p, char out[80])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int version = p->tls == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
	int fd = tcp(), r;
	SSL *s;

	assert_non_null(ctx);
	(void)SSL_CTX_set_min_proto_version(ctx, version);
	(void)SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_psk_client_callback(ctx, on_psk);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, "kECDHEPSK"), 1);
	s = SSL_new(ctx);
	assert_non_null(s);
	SSL_set_app_data(s, p);
	(void)SSL_set_fd(s, fd);
	ERR_clear_error();
	r = SSL_connect(s);
	assert_true(r != 1);
	(void)snprintf(out, 80, "%d %lx", SSL_get_error(s, r),
	    (unsigned long)ERR_peek_error());
	SSL_free(s);
	SSL_CTX_free(ctx);
	(void)close(fd);
}

static void
an_unknown_identity_and_a_wrong_key_look_the_same(void **state)
{
	char wrong_key[80], unknown[80], garbage[80];
	static const int versions[] = {13, 12};
	struct psk p;
	size_t i;

	for (i = 0; i < COUNT(versions); i++) {
		psk_of("SN0001", versions[i], &p);
		p.key[0] ^= 1;
		failure_of(&p, wrong_key);
		p.identity[20] = p.identity[20] == 'A' ? 'B' : 'A';
		failure_of(&p, unknown);
		(void)strcpy(p.identity, "!");
		failure_of(&p, garbage);
		assert_string_equal(wrong_key, unknown);
		assert_string_equal(wrong_key, garbage);
	}
}

static void
no_forward_secrecy_no_service(void **state)
{
	static const char *const ciphers[] = {"kPSK", "kDHEPSK", "kRSAPSK",
	    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-PSK-AES128-CBC-SHA256",
	    "ECDHE-RSA-AES256-GCM-SHA384"};
	struct psk p;
	size_t i;

	for (i = 0; i < COUNT(ciphers); i++) {
		psk_of("SN0001", 12, &p);
		p.ciphers = ciphers[i];
		assert_null(dial(&p));
	}
	psk_of("SN0001", 12, &p);
	p.options = SSL_OP_NO_EXTENDED_MASTER_SECRET;
	assert_null(dial(&p));
}

static void
no_ticket_outlives_a_connection(void **state)
{
	static const int versions[] = {13, 12};
	struct psk p;
	size_t i;
	SSL *s;

	for (i = 0; i < COUNT(versions); i++) {
		psk_of("SN0001", versions[i], &p);
		s = dial(&p);
		assert_non_null(s);
		assert_int_equal(ask(s, "GET", "/v1/device", NULL), 200);
		assert_int_equal(SSL_SESSION_has_ticket(SSL_get_session(s)),
		    0);
		hang_up(s);
	}
}

static void
only_the_device_rows_are_there_whatever_credential_is_sent(void **state)
{
	static const struct {
		const char *method, *path, *form;
		int status;
	} rows[] = {{"GET", "/v1/devices", NULL, 404},
	    {"GET", "/v1/callers", NULL, 404},
	    {"GET", "/metrics", NULL, 404},
	    {"POST", "/v1/psk", "a=b", 404},
	    {"POST", "/oauth2/introspect", "token=x", 404},
	    {"GET", "/t/other/v1/device", NULL, 404},
	    {"GET", "/t/default/v1/device", NULL, 200},
	    {"POST", "/v1/device", "a=b", 405},
	    {"PATCH", "/v1/device/peers", NULL, 405},
	    {"GET", "/oauth2/token", NULL, 405},
	    {"DELETE", "/oauth2/revoke", NULL, 405},
	    {"POST", "/oauth2/token", "", 400},
	    {"POST", "/oauth2/token", "grant_type=%zz", 400},
	    {"POST", "/oauth2/token", "grant_type=password", 400},
	    {"POST", "/oauth2/token", "grant_type=client_credentials&"
		"grant_type=client_credentials", 400},
	    {"POST", "/oauth2/token", "grant_type=client_credentials&"
		"client_assertion=x", 400},
	    {"POST", "/oauth2/token", "grant_type=client_credentials&"
		"audience=elsewhere", 400},
	    {"POST", "/oauth2/token", "grant_type=client_credentials&"
		"scope=root", 400},
	    {"POST", "/oauth2/revoke", "", 400},
	    {"POST", "/oauth2/revoke", "token=x", 200},
	    {"GET", "/v1/device/rotate", NULL, 409},
	    {"DELETE", "/v1/device/rotate", NULL, 405},
	    {"POST", "/v1/device/rotate", "a=b", 415},
	    {"POST", "/v1/device/rotate/proof", "a=b", 415},
	    {"GET", "/v1/device", NULL, 200}};
	struct psk p;
	size_t i;
	SSL *s;

	psk_of("SN0001", 13, &p);
	s = dial(&p);
	assert_non_null(s);
	for (i = 0; i < COUNT(rows); i++)
		if (ask(s, rows[i].method, rows[i].path, rows[i].form) !=
		    rows[i].status)
			fail_msg("%s %s %s: %d, not %d: %s", rows[i].method,
			    rows[i].path, rows[i].form == NULL ? "" :
			    rows[i].form, w.a.status, rows[i].status,
			    w.a.body);
	hang_up(s);
}

static void
a_body_beyond_the_limit_is_not_read(void **state)
{
	static const char text[] = "POST /oauth2/token HTTP/1.1\r\n"
	    "Host: t\r\nContent-Length: 8193\r\n\r\n";
	struct psk p;
	SSL *s;

	psk_of("SN0001", 13, &p);
	s = dial(&p);
	assert_non_null(s);
	assert_int_equal(exchange(s, text, sizeof(text) - 1), 413);
	hang_up(s);
}

static void
a_device_revokes_its_own_token_and_no_others(void **state)
{
	char own[TOKEN_ROOM], other[TOKEN_ROOM], form[TOKEN_ROOM + 8];
	struct psk p, q;
	SSL *s, *t;

	psk_of("SN0001", 13, &p);
	psk_of("SN0002", 13, &q);
	s = dial(&p);
	t = dial(&q);
	assert_non_null(s);
	assert_non_null(t);
	take_token(s, own);
	take_token(t, other);
	(void)snprintf(form, sizeof(form), "token=%s", other);
	(void)ask(s, "POST", "/oauth2/revoke", form);
	assert_true(introspect(other));
	(void)snprintf(form, sizeof(form), "token=%s", own);
	assert_int_equal(ask(s, "POST", "/oauth2/revoke", form), 200);
	assert_false(introspect(own));
	hang_up(s);
	hang_up(t);
}

/* Last: SN0002 is no more after it. */
static void
a_revoked_device_is_told_so_on_the_connection_it_has(void **state)
{
	struct psk p;
	SSL *s;

	psk_of("SN0002", 13, &p);
	s = dial(&p);
	assert_non_null(s);
	assert_int_equal(ask(s, "POST", "/oauth2/token",
	    "grant_type=client_credentials"), 200);
	assert_int_equal(world_http(&w, "POST", "/v1/devices/SN0002/revoke",
	    w.admin, "{}"), 200);
	assert_int_not_equal(ask(s, "POST", "/oauth2/token",
	    "grant_type=client_credentials"), 200);
	assert_true(world_code(&w, "device_revoked"));
	hang_up(s);
}

static int
setup(void **state)
{
	world_open(&w, NULL);
	world_order(&w, 2);
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	return 0;
}

static int
teardown(void **state)
{
	world_close(&w);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_version_serves_the_device_with_its_own_key),
	    cmocka_unit_test(a_key_of_one_version_is_none_of_the_other),
	    cmocka_unit_test(
		an_unknown_identity_and_a_wrong_key_look_the_same),
	    cmocka_unit_test(no_forward_secrecy_no_service),
	    cmocka_unit_test(no_ticket_outlives_a_connection),
	    cmocka_unit_test(
		only_the_device_rows_are_there_whatever_credential_is_sent),
	    cmocka_unit_test(a_body_beyond_the_limit_is_not_read),
	    cmocka_unit_test(a_device_revokes_its_own_token_and_no_others),
	    cmocka_unit_test(
		a_revoked_device_is_told_so_on_the_connection_it_has),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
