#include "tests/scenario/world.h"

#include <sys/stat.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#include "tests/helpers/pg_fixture.h"

#define LIMIT 120 /* seconds, of any one program */
#define ARGS_MAX 40

const char *
world_url(const struct world *w, char out[ROOM])
{
	(void)snprintf(out, ROOM, "%s%.100s", authd_fixture_url(w->authd),
	    w->prefix);
	return out;
}

const char *
world_file(const struct world *w, const char *name, char out[ROOM])
{
	(void)snprintf(out, ROOM, "%.250s/%.100s", w->dir, name);
	return out;
}

static void
make_dir(struct world *w)
{
	const char *top = getenv("FEALTY_TEST_DIR");
	char path[ROOM];

	(void)snprintf(w->dir, sizeof(w->dir), "%.200s/world-XXXXXX",
	    top != NULL ? top : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(mkdir(world_file(w, "burned", path), 0700), 0);
	(void)world_file(w, "gateway.log", w->gateway_log);
}

static void
put_file(const struct world *w, const char *name, const char *text)
{
	char path[ROOM];
	int fd;

	fd = open(world_file(w, name, path), O_WRONLY | O_CREAT | O_TRUNC,
	    0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)),
	    (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static void
get_line(const struct world *w, const char *name, char out[ROOM])
{
	char path[ROOM];

	assert_true(file_text(world_file(w, name, path), out, ROOM) > 0);
	out[strcspn(out, "\n")] = '\0';
}

void
world_open(struct world *w, const char *const *extra)
{
	memset(w, 0, sizeof(*w));
	make_dir(w);
	w->owner = 1;
	assert_int_equal(authd_fixture_start(extra, &w->authd), 0);
	(void)snprintf(w->admin, sizeof(w->admin), "%s",
	    authd_fixture_admin(w->authd));
	put_file(w, "admin", w->admin);
}

void
world_open_tenant(struct world *w, struct world *other, const char *name)
{
	char path[ROOM];

	memset(w, 0, sizeof(*w));
	make_dir(w);
	w->authd = other->authd;
	CTL(other, "tenant", "create", name, "--credential-out",
	    world_file(w, "admin", path));
	get_line(w, "admin", w->admin);
	(void)snprintf(w->prefix, sizeof(w->prefix), "/t/%.64s", name);
}

void
world_order(struct world *w, unsigned quantity)
{
	char path[ROOM], n[16];

	CTL(w, "caller", "create", "line1", "--role", "station",
	    "--credential-out", world_file(w, "station", path));
	CTL(w, "caller", "create", "hub1", "--role", "gateway",
	    "--audiences", "hub", "--credential-out",
	    world_file(w, "hub", path));
	get_line(w, "station", w->station);
	get_line(w, "hub", w->hub);
	CTL(w, "audience", "set", "hub", "127.0.0.1:1");
	(void)snprintf(n, sizeof(n), "%u", quantity);
	CTL(w, "order", "create", "first", "--model", "m1", "--quantity", n,
	    "--expires", "24h", "--peers", "hub", "--stations", "line1",
	    "--serial-pattern", "SN[0-9]{4}");
}

static void
start_gateway(struct world *w, const char *const *argv)
{
	char out[ROOM], line[ROOM];

	(void)world_file(w, "gateway.out", out);
	(void)unlink(out);
	w->gateway = process_start(argv, out, w->gateway_log);
	assert_true(w->gateway > 0);
	assert_int_equal(file_wait(out, "\n", LIMIT), 0);
	get_line(w, "gateway.out", line);
	assert_int_equal(strncmp(line, "listening ", 10), 0);
	/* where it was before, nobody may be there to be told */
	if (strcmp(w->listening, line + 10) == 0)
		return;
	(void)snprintf(w->listening, sizeof(w->listening), "%s", line + 10);
	CTL(w, "audience", "set", "hub", w->listening);
}

void
world_gateway(struct world *w, const char *issuer)
{
	char url[ROOM], cred[ROOM];
	const char *argv[] = {"build:examples/gateway", "--url",
	    world_url(w, url), "--credential-file",
	    world_file(w, "hub", cred), "--audience", "hub", "--listen",
	    "127.0.0.1:0", issuer == NULL ? NULL : "--issuer", issuer, NULL};

	start_gateway(w, argv);
}

void
world_enrol(struct world *w, const char *name)
{
	char path[ROOM], text[4096], *p;

	CTL(w, "caller", "disable", "hub1");
	CTL(w, "caller", "create", name, "--role", "gateway", "--audiences",
	    "hub", "--enrolment-out", world_file(w, "enrolment", path));
	assert_true(file_text(path, text, sizeof(text)) > 0);
	p = strstr(text, "\"fc_");
	assert_non_null(p);
	(void)snprintf(w->hub, sizeof(w->hub), "%.*s",
	    (int)strcspn(p + 1, "\""), p + 1);
}

void
world_follow(struct world *w, const char *const *urls, const char *at)
{
	char enrolment[ROOM], state[ROOM];
	const char *argv[ARGS_MAX] = {"build:examples/gateway",
	    "--enrolment-file", world_file(w, "enrolment", enrolment),
	    "--state-file", world_file(w, "gateway.state", state), "--listen",
	    at};
	size_t n = 7;

	for (; *urls != NULL && n + 3 < ARGS_MAX; urls++) {
		argv[n++] = "--url";
		argv[n++] = *urls;
	}
	start_gateway(w, argv);
}

/* The end of a log, where a sanitizer says what it saw. */
static void
show_end(const char *log)
{
	static char text[1 << 20];
	ssize_t n = file_text(log, text, sizeof(text));

	print_message("# %s", n > 3000 ? text + n - 3000 : text);
}

void
world_close(struct world *w)
{
	int gateway = 0, authd = 0;

	if (w->gateway > 0)
		gateway = process_stop(&w->gateway, SIGTERM);
	if (w->owner && w->authd != NULL &&
	    authd_fixture_pid(w->authd) > 0)
		authd = authd_fixture_end(w->authd);
	if (gateway != 0)
		show_end(w->gateway_log);
	if (authd != 0)
		show_end(authd_fixture_log(w->authd));
	if (w->owner)
		authd_fixture_stop(&w->authd);
	if (w->dir[0] != '\0')
		(void)remove_tree(w->dir);
	/* a leak or a race that a sanitizer saw shows in the exit status */
	assert_int_equal(gateway, 0);
	assert_int_equal(authd, 0);
}

/* Complains about a program that did not do as it should. */
static int
ran(const struct world *w, const char *const *argv)
{
	size_t i;

	if (w->r.status == 0)
		return 0;
	for (i = 0; argv[i] != NULL; i++)
		print_message("# %s\n", argv[i]);
	print_message("# gave %d: %s\n", w->r.status, w->r.err);
	return w->r.status;
}

int
world_ctl(struct world *w, const char *const *args, const char *input)
{
	char url[ROOM], cred[ROOM];
	const char *argv[ARGS_MAX + 1] = {"build:authctl/authctl"};
	size_t n = 1, i;

	for (i = 0; args[i] != NULL && n + 5 < ARGS_MAX; i++)
		argv[n++] = args[i];
	argv[n++] = "--url";
	argv[n++] = world_url(w, url);
	argv[n++] = "--credential-file";
	argv[n++] = world_file(w, "admin", cred);
	(void)process_run(argv, input, LIMIT, &w->r);
	return ran(w, argv);
}

int
world_says(const struct world *w, const char *text)
{
	if (strstr(w->r.out, text) != NULL || strstr(w->r.err, text) != NULL)
		return 1;
	print_message("# not \"%s\":\n# %s# %s\n", text, w->r.out, w->r.err);
	return 0;
}

int
world_burn_status(struct world *w, const char *serial)
{
	char url[ROOM], cred[ROOM], journal[ROOM], path[ROOM];
	char target[ROOM + 8];
	const char *argv[] = {"build:provision-tool/provision-tool", "burn",
	    "--order", "first", "--serial", serial, "--target", target,
	    "--journal", world_file(w, "journal", journal), "--url",
	    world_url(w, url), "--credential-file",
	    world_file(w, "station", cred), NULL};

	(void)snprintf(target, sizeof(target), "file:%s",
	    world_file(w, "burned", path));
	return process_run(argv, NULL, LIMIT, &w->r);
}

void
world_burn(struct world *w, const char *serial)
{
	if (world_burn_status(w, serial) != 0)
		fail_msg("burn of %s: %s", serial, w->r.err);
}

static void
record_path(const struct world *w, const char *serial, char out[ROOM])
{
	char name[ROOM];

	(void)snprintf(name, sizeof(name), "burned/%.64s.cbor", serial);
	(void)world_file(w, name, out);
}

int
world_device(struct world *w, const char *serial, const char *tls,
    const char *const *args)
{
	char record[ROOM];
	const char *argv[ARGS_MAX + 1] = {"build:examples/device",
	    "--record", record, "--tls", tls};
	size_t n = 5, i;

	record_path(w, serial, record);
	for (i = 0; args[i] != NULL && n < ARGS_MAX; i++)
		argv[n++] = args[i];
	return process_run(argv, NULL, LIMIT, &w->r);
}

void
world_token(struct world *w, const char *serial, char out[TOKEN_ROOM])
{
	char at[ROOM];

	(void)snprintf(at, sizeof(at), "127.0.0.1:%u",
	    authd_fixture_device(w->authd));
	if (DEVICE(w, serial, "1.3", "token", "--at", at) != 0)
		fail_msg("token of %s: %s", serial, w->r.err);
	w->r.out[strcspn(w->r.out, "\n")] = '\0';
	assert_true(snprintf(out, TOKEN_ROOM, "%s", w->r.out) < TOKEN_ROOM);
}

int
world_show(struct world *w, const char *serial, const char *token)
{
	return DEVICE(w, serial, "1.3", "connect", "--audience", "hub",
	    "--token", token);
}

pid_t
world_hold(struct world *w, const char *serial, char out[ROOM])
{
	char token[TOKEN_ROOM], record[ROOM], name[ROOM];
	const char *argv[] = {"build:examples/device", "--record", record,
	    "connect", "--audience", "hub", "--token", token, "--hold",
	    NULL};
	pid_t session;

	world_token(w, serial, token);
	record_path(w, serial, record);
	(void)snprintf(name, sizeof(name), "session-%s", serial);
	(void)world_file(w, name, out);
	(void)unlink(out);
	session = process_start(argv, out, "/dev/null");
	assert_true(session > 0);
	assert_int_equal(file_wait(out, "OK device=", LIMIT), 0);
	return session;
}

void
world_ended(pid_t *session)
{
	long deadline = process_deadline(LIMIT);
	int status;

	while (!process_ended(session, &status)) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

void
world_shown(struct world *w, const char *serial, const char *token,
    const char *answer)
{
	long deadline = process_deadline(LIMIT);

	do {
		(void)world_show(w, serial, token);
		if (strstr(w->r.out, answer) != NULL)
			return;
		process_pause();
	} while (process_left(deadline));
	fail_msg("%s: not \"%s\" but \"%s\" %s", serial, answer, w->r.out,
	    w->r.err);
}

static int
http(struct world *w, const char *method, const char *path,
    const char *credential, const char *type, const char *body)
{
	char whole[600];

	(void)snprintf(whole, sizeof(whole), "%.100s%.450s", w->prefix, path);
	if (http_ask(authd_fixture_api(w->authd), method, whole, credential,
		body == NULL ? NULL : type, body, -1, &w->a) != 0)
		return 0;
	return w->a.status;
}

int
world_http(struct world *w, const char *method, const char *path,
    const char *credential, const char *body)
{
	return http(w, method, path, credential, TYPE_JSON, body);
}

int
world_form(struct world *w, const char *path, const char *credential,
    const char *form)
{
	return http(w, "POST", path, credential, TYPE_FORM, form);
}

void
world_assertion(const struct world *w, const struct assertion_of *of,
    char out[ASSERTION_ROOM])
{
	const struct fealty_assertion a = {.now = of->now, .life = 60,
	    .nonce = of->nonce};
	char path[ROOM], octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record r;
	ssize_t n;
	size_t len;

	record_path(w, of->serial, path);
	n = file_text(path, octets, sizeof(octets));
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	assert_int_equal(fealty_assertion(&fealty_device_port_openssl, &r, &a,
	    out, ASSERTION_ROOM, &len), FEALTY_OK);
}

void
world_grant(const char *assertion, char *out, size_t size)
{
	int n;

	n = snprintf(out, size, "grant_type=client_credentials"
	    "&client_assertion_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3A"
	    "client-assertion-type%%3Ajwt-bearer&client_assertion=%s",
	    assertion);
	assert_true(n > 0 && (size_t)n < size);
}

int
world_redeem(struct world *w, const char *assertion)
{
	char form[2000];

	world_grant(assertion, form, sizeof(form));
	return world_form(w, "/oauth2/token", NULL, form);
}

int
world_active(struct world *w, const char *token)
{
	char form[TOKEN_ROOM + 16];
	int status;

	(void)snprintf(form, sizeof(form), "token=%s", token);
	status = world_form(w, "/oauth2/introspect", w->hub, form);
	if (status != 200)
		fail_msg("introspection: %d %s", status, w->a.body);
	return strstr(w->a.body, "\"active\":true") != NULL;
}

void
world_nonce(struct world *w, char out[ROOM])
{
	assert_int_equal(world_http(w, "GET", "/oauth2/nonce", NULL, NULL),
	    200);
	assert_int_equal(http_member(&w->a, "nonce", out, ROOM), 0);
}

int
world_code(const struct world *w, const char *code)
{
	char is[100] = "";

	if (http_member(&w->a, "code", is, sizeof(is)) == 0 &&
	    strcmp(is, code) == 0)
		return 1;
	print_message("# not %s: %d %s\n", code, w->a.status, w->a.body);
	return 0;
}

int
world_sql_status(struct world *w, const char *sql)
{
	char path[ROOM + 100], socket[ROOM];
	const char *argv[] = {"/usr/lib/postgresql/15/bin/psql", "-h",
	    socket, "-U", "fealty_super", "-d", "fealty", "-X", "-A", "-t",
	    "-v", "ON_ERROR_STOP=1", "-c", sql, NULL};

	(void)snprintf(path, sizeof(path), "%s/run/socket-dir",
	    authd_fixture_dir(w->authd));
	assert_true(file_text(path, socket, sizeof(socket)) > 0);
	socket[strcspn(socket, "\n")] = '\0';
	return process_run(argv, NULL, LIMIT, &w->r);
}

void
world_sql(struct world *w, const char *sql)
{
	if (world_sql_status(w, sql) != 0)
		fail_msg("psql: %s", w->r.err);
}

pid_t
world_postmaster(const struct world *w)
{
	char path[ROOM + 100], text[ROOM];

	(void)snprintf(path, sizeof(path), "%s/db/postmaster.pid",
	    authd_fixture_dir(w->authd));
	if (file_text(path, text, sizeof(text)) <= 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}
