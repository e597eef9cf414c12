/*
 * The floor: the least that any server on this stack has to do for a row,
 * measured in the same run. libmicrohttpd answers the same octets to the same
 * request, after the cryptography and the query that the row cannot do
 * without, and nothing else. Its connections are spread over its event loops
 * as those of authd are.
 *
 *   fixed      nothing
 *   verify     one ES256 verification on a cached key
 *   sign       one ES256 signature on a cached key
 *   composite  HMAC-SHA-256, one prepared SELECT, one ES256 signature
 */
#include <sys/socket.h>
#include <netinet/in.h>
#include <gnutls/gnutls.h>
#include <libpq-fe.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "authd/http/door.h"
#include "lib/base/b64url.h"
#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/base/opt.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/signer.h"

#define TEXT_LEN 520 /* octets that a token's signature covers */
#define ROWS 10000

struct options {
	const char *mode, *answer, *pg;
	uint64_t threads;
	int psk, help;
};
static struct options o;
static struct buf answer = {.max = 65536};
static struct signer *signer;
static struct verifier *verifier;
static unsigned char text[TEXT_LEN], signature[ES256_SIG_LEN];
static const unsigned char hmac_key[32] = "a key of thirty-two octets, fix";
static __thread PGconn *db;
static struct door *door;
static struct MHD_Daemon *daemons[64];
static uint32_t loops[64], nloops;

/* One connection a thread, with its statement prepared. */
static int
query(void)
{
	const char *values[1] = {"4711"};
	PGresult *r;
	int good;

	if (db == NULL) {
		db = PQconnectdb(o.pg);
		r = PQprepare(
		    db, "one", "SELECT k FROM floor WHERE n = $1", 0, NULL);
		good = PQresultStatus(r) == PGRES_COMMAND_OK;
		PQclear(r);
		if (!good)
			return -1;
	}
	r = PQexecPrepared(db, "one", 1, values, NULL, NULL, 1);
	good = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
	PQclear(r);
	return good ? 0 : -1;
}

static int
work(void)
{
	unsigned char sig[ES256_SIG_LEN], mac[32];

	switch (o.mode[0]) {
	case 'f':
		return 0;
	case 'v':
		return verifier_verify(
			   verifier, text, sizeof(text), signature) == ERR_OK
			   ? 0
			   : -1;
	case 'c':
		if (hmac_sha256(hmac_key, sizeof(hmac_key), text, 400, mac) !=
			ERR_OK ||
		    query() != 0)
			return -1;
		/* fallthrough */
	default:
		return signer_sign(signer, text, sizeof(text), sig) == ERR_OK
			   ? 0
			   : -1;
	}
}

/* Headers first, then the body, then the answer: keep-alive stays. */
static enum MHD_Result
handle(void *cls, struct MHD_Connection *c, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_len, void **state)
{
	static int seen;
	struct MHD_Response *r;
	enum MHD_Result q;
	unsigned status = MHD_HTTP_OK;

	if (*state == NULL) {
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_len > 0) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (work() != 0)
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	r = MHD_create_response_from_buffer(
	    answer.len, answer.p, MHD_RESPMEM_PERSISTENT);
	if (r == NULL)
		return MHD_NO;
	/* The same head, too. */
	(void)MHD_add_response_header(r, "X-Request-Id",
	    "0123456789abcdef-1");
	(void)MHD_add_response_header(r, "Content-Type", "application/json");
	(void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	(void)MHD_add_response_header(r, "Cache-Control", "no-store");
	q = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return q;
}

/* Any identity has the key 00 01 02 … 1f. */
static int
psk(void *cls, const struct MHD_Connection *c, const char *username, void **key,
    size_t *len)
{
	unsigned char *k = malloc(32);
	size_t i;

	if (k == NULL)
		return -1;
	for (i = 0; i < 32; i++)
		k[i] = (unsigned char)i;
	*key = k;
	*len = 32;
	return 0;
}

static void
on_connection(void *cls, struct MHD_Connection *c, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	const uint32_t *loop = cls;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		door_begun(door, *loop);
	else
		door_over(door, *loop, NULL);
}

static void
quiet(void *cls, const char *fmt, va_list ap)
{
}

static struct MHD_Daemon *
start_loop(const struct door_conf *conf)
{
	static char priority[] =
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:"
	    "+ECDHE-PSK:%NO_TICKETS";
	struct MHD_OptionItem tls[] = {
	    {MHD_OPTION_HTTPS_CRED_TYPE, GNUTLS_CRD_PSK, NULL},
	    {MHD_OPTION_GNUTLS_PSK_CRED_HANDLER, (intptr_t)psk, NULL},
	    {MHD_OPTION_HTTPS_PRIORITIES, 0, priority},
	    {MHD_OPTION_END, 0, NULL}};
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_ERROR_LOG;

	if (o.psk)
		flags |= MHD_USE_TLS;
	return MHD_start_daemon(flags, 0, NULL, NULL, handle, NULL,
	    MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, door_loop_limit(conf),
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, &loops[nloops],
	    MHD_OPTION_ARRAY, o.psk ? tls : &tls[3], MHD_OPTION_END);
}

/* A socket on a free port of loopback; the port, or 0. */
static unsigned
listen_on(int *fd)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(*fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    getsockname(*fd, (struct sockaddr *)&sa, &len) != 0)
		return 0;
	return ntohs(sa.sin_port);
}

/* The port, or 0. */
static unsigned
start(void)
{
	const struct door_conf conf = {&clock_system, 4096, 0,
	    (uint32_t)o.threads};
	unsigned port;
	int fd;

	if (door_new(&conf, &door) != ERR_OK)
		return 0;
	for (nloops = 0; nloops < o.threads; nloops++) {
		loops[nloops] = nloops;
		daemons[nloops] = start_loop(&conf);
		if (daemons[nloops] == NULL)
			return 0;
	}
	port = listen_on(&fd);
	return port != 0 && door_open(door, fd, daemons) == ERR_OK ? port : 0;
}

static int
make_keys(void)
{
	struct es256_public pub;

	if (signer_generate(&signer) != ERR_OK)
		return -1;
	signer_public(signer, &pub);
	if (verifier_new(&pub, &verifier) != ERR_OK ||
	    random_bytes(text, sizeof(text)) != ERR_OK ||
	    signer_sign(signer, text, sizeof(text), signature) != ERR_OK)
		return -1;
	return 0;
}

/* A table as large as a small registry, made once. */
static int
make_table(void)
{
	PGconn *c;
	PGresult *r;
	int good;

	if (o.pg == NULL)
		return 0;
	c = PQconnectdb(o.pg);
	r = PQexec(c, "DROP TABLE IF EXISTS floor;"
		      "CREATE TABLE floor (n bigint PRIMARY KEY, k bytea);"
		      "INSERT INTO floor SELECT i, decode(repeat('ab', 60), "
		      "'hex') FROM generate_series(1, 10000) i;"
		      "ANALYZE floor");
	good = PQresultStatus(r) == PGRES_COMMAND_OK;
	if (!good)
		fprintf(stderr, "floor: %s", PQerrorMessage(c));
	PQclear(r);
	PQfinish(c);
	return good ? 0 : -1;
}

#define O(m) offsetof(struct options, m)
static const struct opt table[] = {
    {"mode", 0, OPT_STRING, "MODE", "fixed, verify, sign or composite", O(mode),
	0, "fixed"},
    {"answer", 0, OPT_STRING, "FILE", "the octets of every answer", O(answer),
	0, NULL},
    {"pg", 0, OPT_STRING, "CONNINFO", "database of a composite floor", O(pg), 0,
	NULL},
    {"threads", 0, OPT_NUMBER, "N", "event loops", O(threads), 64, "2"},
    {"psk", 0, OPT_FLAG, NULL, "over TLS-PSK", O(psk), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "show this help", O(help), 0, NULL},
};
#undef O
#define NOPTIONS (sizeof(table) / sizeof(table[0]))

int
main(int argc, char **argv)
{
	struct detail d = {""};
	sigset_t set;
	unsigned port;
	int rest, sig;

	if (opt_parse(table, NOPTIONS, NULL, argc, argv, &o, &rest, &d) !=
		ERR_OK ||
	    o.help || o.answer == NULL) {
		fprintf(stderr, "floor: %s\n", d.text);
		opt_help(table, NOPTIONS);
		return 2;
	}
	if (file_read(o.answer, 65536, &answer) != ERR_OK || make_keys() != 0 ||
	    make_table() != 0)
		return 1;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	port = start();
	if (port == 0)
		return 1;
	printf("port=%u\n", port);
	(void)fflush(stdout);
	(void)sigwait(&set, &sig);
	door_close(door);
	while (nloops > 0)
		MHD_stop_daemon(daemons[--nloops]);
	door_free(&door);
	verifier_free(&verifier);
	signer_free(&signer);
	buf_free(&answer);
	return 0;
}
