/*
 * The client between its credential and a hostile network: addresses made to
 * look like loopback, redirects, answers without end, and what of the
 * credential is left in memory afterwards.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/client/client.h"
#include "tests/unit/memory_scan.h"

/* A server of fixed answers; one connection after the other. */
struct server {
	int fd;
	char url[64];
	pthread_t thread;
	const char *answer;
	int endless; /* repeats the answer's last 1000 octets */
	int accepted, saw_bearer;
	int stop[2];
};

static void
answer_one(struct server *s, int fd)
{
	char in[8192];
	size_t len = strlen(s->answer);
	ssize_t n = recv(fd, in, sizeof(in) - 1, 0);
	int i;

	in[n > 0 ? n : 0] = '\0';
	if (strstr(in, "Bearer ") != NULL)
		s->saw_bearer++;
	explicit_bzero(in, sizeof(in));
	(void)!send(fd, s->answer, len, MSG_NOSIGNAL);
	for (i = 0; s->endless && i < 100000; i++)
		if (send(fd, s->answer + len - 1000, 1000, MSG_NOSIGNAL) < 0)
			break;
	(void)close(fd);
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	struct pollfd p[2] = {{s->fd, POLLIN, 0}, {s->stop[0], POLLIN, 0}};
	int fd;

	while (poll(p, 2, -1) > 0 && p[1].revents == 0) {
		fd = accept(s->fd, NULL, NULL);
		if (fd < 0)
			continue;
		s->accepted++;
		answer_one(s, fd);
	}
	return NULL;
}

static void
server_start(struct server *s, const char *answer, int endless)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->answer = answer;
	s->endless = endless;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u",
	    ntohs(a.sin_port));
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
server_end(struct server *s)
{
	(void)close(s->stop[1]);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->stop[0]);
	(void)close(s->fd);
}

static struct client *
new_client(const char *url, size_t max)
{
	unsigned char text[] = "fc_0123456789";
	struct secret credential = {text, sizeof(text) - 1, sizeof(text)};
	struct client_conf conf = {.url = url, .credential = &credential,
	    .tries = 1, .timeout_ms = 5000, .answer_max = max};
	struct client *c = NULL;

	assert_int_equal(client_new(&conf, &c), ERR_OK);
	return c;
}

static void
credential_goes_in_clear_to_no_host_made_to_look_like_loopback(void **state)
{
	static const char *const bad[] = {
	    "http://evil.example", "http://localhost@evil.example",
	    "http://127.0.0.1@evil.example", "http://127.0.0.1.evil.example",
	    "http://localhost.evil.example", "http://localhost:80@evil",
	    "http://evil.example#@127.0.0.1", "http://evil.example?127.0.0.1",
	    "http://evil.example\\@127.0.0.1", "http://127.0.0.1\\@evil",
	    "http://[::1]@evil.example", "http://0.0.0.0", "http://0",
	    "http://[::]", "http://[::ffff:10.0.0.1]", "http://10.0.0.1",
	    "http://128.0.0.1", "http://localhosT.evil", "http://", "http:",
	    "localhost", "//localhost", "", "file:///etc/passwd",
	    "ftp://localhost", "gopher://localhost", "http+unix://localhost",
	    "http://local\thost", "http://localhost\r\nX: y",
	    "http://user@localhost", "http://u:p@127.0.0.1",
	    "https://user@host.example", "https://u:p@host.example",
	    "https://host.example?a=", "https://host.example?",
	    "https://host.example#", "https://host.example/a#b",
	    "https://host.example\\@evil"};
	static const char *const good[] = {"http://localhost:1",
	    "http://127.0.0.1", "http://127.1.2.3:9", "http://[::1]:9/t/a",
	    "https://host.example", "https://host.example:9/t/a/"};
	struct client_conf conf = {0};
	struct client *c = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		conf.url = bad[i];
		assert_case(client_new(&conf, &c) == ERR_CONFIG && c == NULL,
		    bad[i]);
	}
	for (i = 0; i < COUNT(good); i++) {
		conf.url = good[i];
		assert_case(client_new(&conf, &c) == ERR_OK, good[i]);
		client_free(&c);
	}
}

static void
path_cannot_lengthen_the_host(void **state)
{
	struct client *c = new_client("http://127.0.0.1", 0);
	struct problem why;

	(void)state;
	assert_int_equal(client_call(c, "GET", ".evil.example/", NULL, NULL,
	    NULL, &why), ERR_INTERNAL);
	assert_int_equal(client_call(c, "GET", "@evil.example/", NULL, NULL,
	    NULL, &why), ERR_INTERNAL);
	client_free(&c);
}

static void
redirect_is_not_followed_and_takes_no_credential_along(void **state)
{
	struct server to, from;
	char answer[256];
	struct client *c;
	struct problem why;

	(void)state;
	server_start(&to, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0);
	(void)snprintf(answer, sizeof(answer), "HTTP/1.1 307 Away\r\n"
	    "Location: %s/x\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n", to.url);
	server_start(&from, answer, 0);
	c = new_client(from.url, 0);
	assert_int_not_equal(client_call(c, "GET", "/x", NULL, NULL, NULL,
	    &why), ERR_OK);
	client_free(&c);
	server_end(&from);
	server_end(&to);
	assert_int_equal(from.saw_bearer, 1);
	assert_int_equal(to.accepted, 0);
}

#define K "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KB K K K K K K K K K K K K K K K K

static void
answer_without_end_is_cut_off_at_the_limit(void **state)
{
	struct buf answer = {.max = 0};
	struct server s;
	struct problem why;
	struct client *c;

	(void)state;
	server_start(&s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" KB, 1);
	c = new_client(s.url, 20000);
	assert_int_equal(client_call(c, "GET", "/x", NULL, NULL, &answer,
	    &why), ERR_TOO_LARGE);
	assert_int_equal(answer.len, 0);
	client_free(&c);
	server_end(&s);
	buf_free(&answer);
}

static void
no_copy_of_the_credential_outlives_the_client(void **state)
{
	unsigned char text[47], inverted[47];
	struct secret credential = {text, sizeof(text), sizeof(text)};
	struct client_conf conf = {.credential = &credential, .tries = 1};
	struct client *c = NULL;
	struct problem why;
	struct server s;
	size_t i;

	(void)state;
	server_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0);
	srand((unsigned)getpid());
	for (i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)('A' + rand() % 26);
	memory_invert(text, sizeof(text), inverted);
	assert_true(memory_find(inverted, sizeof(text)) >= 1);
	conf.url = s.url;
	assert_int_equal(client_new(&conf, &c), ERR_OK);
	assert_int_equal(client_call(c, "GET", "/x", NULL, NULL, NULL, &why),
	    ERR_OK);
	client_free(&c);
	server_end(&s);
	assert_int_equal(s.saw_bearer, 1);
	wipe(text, sizeof(text));
	assert_int_equal(memory_find(inverted, sizeof(text)), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
	    credential_goes_in_clear_to_no_host_made_to_look_like_loopback),
	    cmocka_unit_test(path_cannot_lengthen_the_host),
	    cmocka_unit_test(
	    redirect_is_not_followed_and_takes_no_credential_along),
	    cmocka_unit_test(answer_without_end_is_cut_off_at_the_limit),
	    cmocka_unit_test(no_copy_of_the_credential_outlives_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
