#include "tests/unit/agent_kit.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
start_agent(struct agent_world *w, const char *const *more)
{
	const char *argv[40] = {"build:gateway/agent/fealty-agent", "--url",
	    authd_url(w->authd), "--credential-file",
	    authd_credential(w->authd), "--audience", AUDIENCE, "--listen",
	    "127.0.0.1:0", "--socket", w->socket, "--poll-interval", "20ms"};
	char text[256];
	const char *p;
	size_t n = 13;

	while (more != NULL && *more != NULL)
		argv[n++] = *more++;
	(void)unlink(w->out);
	w->agent = process_start(argv, w->out, w->err);
	assert_true(w->agent > 0);
	assert_int_equal(file_wait(w->out, "listening 127.0.0.1:",
	    DEADLINE_MS / 1000), 0);
	assert_true(file_text(w->out, text, sizeof(text)) > 0);
	assert_non_null(p = strstr(text, "127.0.0.1:"));
	w->port = (uint16_t)strtoul(p + 10, NULL, 10);
}

/* "ready" of /status. */
int
is_ready(struct agent_world *w)
{
	return (http_ask(w->port, "GET", "/status", NULL, NULL, NULL, -1,
	    &w->a) == 0 && w->a.status == 200);
}

int
set_up_with(void **state, const char *const *more)
{
	struct agent_world *w = calloc(1, sizeof(*w));

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/fealty-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->out, sizeof(w->out), "%s/out", w->dir);
	(void)snprintf(w->err, sizeof(w->err), "%s/err", w->dir);
	(void)snprintf(w->socket, sizeof(w->socket), "%s/agent", w->dir);
	w->authd = authd_start();
	start_agent(w, more);
	eventually(is_ready(w));
	*state = w;
	return (0);
}

int
set_up(void **state)
{
	char uid[16];
	const char *const more[] = {"--psk-users", uid, NULL};

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	return (set_up_with(state, more));
}

int
tear_down(void **state)
{
	static char text[65536];
	struct agent_world *w = *state;
	int status = 0;

	if (w->agent > 0)
		status = process_stop(&w->agent, SIGTERM);
	if (status != 0 && file_text(w->err, text, sizeof(text)) > 0)
		print_message("# %s", text);
	authd_stop(&w->authd);
	(void)unlink(w->out);
	(void)unlink(w->err);
	/* it took its socket with it, or the folder cannot go */
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return (status);
}

/* ---- asking --------------------------------------------------------- */

void
token_of(struct agent_world *w, uint64_t dn, const char *scope,
    char out[4200])
{
	struct token_claims c;

	authd_claims(w->authd, dn, &c);
	if (scope != NULL)
		(void)snprintf(c.scope, sizeof(c.scope), "%s", scope);
	authd_sign(w->authd, &c, out, 4200);
}

int
auth_at(struct agent_world *w, const char *path, const char *token)
{
	if (http_ask(w->port, "GET", path, token, NULL, NULL, -1, &w->a) != 0)
		return (0);
	return (w->a.status);
}

/* Over the Unix socket. */
int
ask_socket(struct agent_world *w, const char *request)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", w->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(http_send(fd, request, strlen(request)), 0);
	assert_int_equal(http_receive(fd, 0, &w->a), 0);
	(void)close(fd);
	return (w->a.status);
}

int
post_socket(struct agent_world *w, const char *path, const char *body)
{
	char request[600];

	(void)snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\n"
	    "Host: t\r\nContent-Length: %zu\r\n\r\n%s", path, strlen(body),
	    body);
	return (ask_socket(w, request));
}

int
ask_key(struct agent_world *w, const char *identity, const char *tls)
{
	char body[300];

	(void)snprintf(body, sizeof(body),
	    "{\"identity\":\"%s\",\"tls\":\"%s\"}", identity, tls);
	return (post_socket(w, "/psk", body));
}
