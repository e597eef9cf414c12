/* The example gateway, a process of its own, against devices that resist. */
#include "tests/unit/gateway_authd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/helpers/process.h"

#define AHEAD 200 /* batches written before the first answer is read */

struct example {
	struct authd *authd;
	char dir[64], out[80], err[80];
	pid_t gateway;
	struct sockaddr_in at;
};

/* The gateway with at most that many descriptors (0: as it is). */
static void
start_gateway(struct example *w, rlim_t descriptors)
{
	const char *argv[] = {"build:examples/gateway", "--url",
	    authd_url(w->authd), "--credential-file",
	    authd_credential(w->authd), "--audience", AUDIENCE, "--listen",
	    "127.0.0.1:0", NULL};
	struct rlimit was, less;
	char text[256];
	const char *p;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	less = was;
	if (descriptors != 0)
		less.rlim_cur = descriptors;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
	w->gateway = process_start(argv, w->out, w->err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(w->gateway > 0);
	assert_int_equal(file_wait(w->out, "\n", DEADLINE_MS / 1000), 0);
	assert_true(file_text(w->out, text, sizeof(text)) > 0);
	assert_non_null(p = strstr(text, "127.0.0.1:"));
	w->at.sin_family = AF_INET;
	w->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->at.sin_port = htons((uint16_t)strtoul(p + 10, NULL, 10));
	/* its first round is over: it is ready */
	eventually(authd_feed_requests(w->authd) >= 2);
}

static int
set_up(void **state)
{
	struct example *w = calloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/fealty-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->out, sizeof(w->out), "%s/out", w->dir);
	snprintf(w->err, sizeof(w->err), "%s/err", w->dir);
	w->authd = authd_start();
	*state = w;
	return (0);
}

static int
tear_down(void **state)
{
	struct example *w = *state;

	if (w->gateway > 0)
		process_stop(&w->gateway, SIGTERM);
	authd_stop(&w->authd);
	unlink(w->out);
	unlink(w->err);
	rmdir(w->dir);
	free(w);
	return (0);
}

static int
reach(const struct example *w)
{
	struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
	/* so that answers stop the gateway before it has read everything */
	int in = 4096, out = 200000;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof(in));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out));
	assert_int_equal(connect(fd, (const struct sockaddr *)&w->at,
	    sizeof(w->at)), 0);
	return (fd);
}

/* The device's end of a connection; its first PING was answered. */
static SSL *
connect_device(struct example *w, struct attempt *a, uint64_t dn,
    char id[PSKID_LEN + 1])
{
	SSL_CTX *unused = SSL_CTX_new(TLS_server_method());
	char text[64];
	SSL *ssl;

	memset(a, 0, sizeof(*a));
	a->tls = 13;
	a->identity = id;
	device_identity(dn, id);
	device_key(dn, 13, &a->key);
	attempt_prepare(unused, a);
	SSL_CTX_free(unused);
	ssl = a->client;
	assert_int_equal(SSL_set_fd(ssl, reach(w)), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_write(ssl, "PING\n", 5), 5);
	assert_int_equal(SSL_read(ssl, text, sizeof(text)), 5);
	return (ssl);
}

static void
disconnect(struct attempt *a)
{
	int fd = SSL_get_fd(a->client);

	attempt_close(a);
	close(fd);
}

/* Talks without a pause, and listens; 1 when the gateway closed. */
static int
talk_until_closed(SSL *ssl)
{
	int64_t until = now_ms() + DEADLINE_MS;
	char ping[1000], text[4096];
	size_t ahead = 0;
	int n;

	for (size_t i = 0; i < sizeof(ping); i += 5)
		memcpy(ping + i, "PING\n", 5);
	while (now_ms() < until) {
		while (ahead < AHEAD * sizeof(ping)) {
			if (SSL_write(ssl, ping, sizeof(ping)) <= 0)
				return (1);
			ahead += sizeof(ping);
		}
		if ((n = SSL_read(ssl, text, sizeof(text))) <= 0)
			return (1);
		ahead -= (size_t)n < ahead ? (size_t)n : ahead;
	}
	return (0);
}

static void
device_that_never_stops_talking_is_cut_off(void **state)
{
	struct example *w = *state;
	char id[PSKID_LEN + 1];
	struct attempt a;
	SSL *ssl;

	signal(SIGPIPE, SIG_IGN);
	start_gateway(w, 0);
	ssl = connect_device(w, &a, 1, id);
	authd_event(w->authd, EV_DEVICE, 1, EFFECT_BLOCK);
	assert_true(talk_until_closed(ssl));
	assert_int_equal(file_wait(w->err, "session closed device=dev-1",
	    DEADLINE_MS / 1000), 0);
	disconnect(&a);
}

static double
cpu_seconds(pid_t pid)
{
	char path[64], text[1024], *p;
	unsigned long user = 0, kernel = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_true(file_text(path, text, sizeof(text)) > 0);
	assert_non_null(p = strrchr(text, ')'));
	assert_int_equal(sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u"
	    " %*u %*u %lu %lu", &user, &kernel), 2);
	return ((double)(user + kernel) / (double)sysconf(_SC_CLK_TCK));
}

/* Silent peers take every descriptor: it neither spins nor dies of that. */
static void
running_out_of_descriptors_is_waited_out(void **state)
{
	struct example *w = *state;
	char id[PSKID_LEN + 1];
	struct attempt a;
	int fd[100];
	double spent;

	start_gateway(w, 60);
	for (size_t i = 0; i < COUNT(fd); i++)
		fd[i] = reach(w);
	spent = cpu_seconds(w->gateway);
	/* until the first handshakes have run out of time */
	assert_int_equal(file_wait(w->err, "too long", DEADLINE_MS / 1000),
	    0);
	assert_true(cpu_seconds(w->gateway) - spent < 1);
	for (size_t i = 0; i < COUNT(fd); i++)
		close(fd[i]);
	connect_device(w, &a, 2, id);
	disconnect(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(device_that_never_stops_talking_is_cut_off),
		T(running_out_of_descriptors_is_waited_out),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
