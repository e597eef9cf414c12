/*
 * authd: the authority. Brings the parts up in order, watches, and takes them
 * down in the reverse order.
 */
#include <config.h>

#include <sys/resource.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authd/config.h"
#include "authd/core/core.h"
#include "authd/embedded.h"
#include "authd/http/http.h"
#include "authd/keys.h"
#include "authd/run.h"
#include "authd/store/store.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#define TICK_MS 100
#define CHECK_MS 1000

/* What runs; everything NULL or -1 until it does. */
struct authd {
	struct authd_conf conf;
	sigset_t signals;
	struct embedded *db;
	const char *database, *migrate_database, *keys;
	char run_buf[PATH_MAX], kek[PATH_MAX], issuer[ISSUER_MAX + 1];
	const char *run;
	char api_host[HTTP_HOST_MAX + 1], device_host[HTTP_HOST_MAX + 1];
	uint16_t api_port, device_port;
	int api_fd, device_fd;
	struct core *core;
	struct http *http;
	int told_ready;
};

/* Signals are taken in the main loop only: every thread inherits this. */
static void
take_signals(struct authd *a)
{
	struct sigaction ignore;
	struct rlimit files;

	memset(&ignore, 0, sizeof(ignore));
	ignore.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigemptyset(&a->signals);
	(void)sigaddset(&a->signals, SIGTERM);
	(void)sigaddset(&a->signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &a->signals, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static enum err
start_database(struct authd *a, struct detail *d)
{
	const struct authd_conf *c = &a->conf;
	char roles[PATH_MAX];
	struct embedded_conf ec = {c->embedded, c->db_user, c->db_bin_dir,
	    roles};
	enum err e;

	(void)snprintf(roles, sizeof(roles), "%s/roles.sql", c->sql_dir);
	e = embedded_start(&ec, &a->db, d);
	if (e != ERR_OK)
		return e;
	a->database = embedded_app(a->db);
	a->migrate_database = embedded_owner(a->db);
	a->keys = embedded_keys(a->db);
	(void)snprintf(a->run_buf, sizeof(a->run_buf), "%s/run", c->embedded);
	a->run = a->run_buf;
	return ERR_OK;
}

/* Database, directories, key-encryption key, schema. */
static enum err
prepare(struct authd *a, struct detail *d)
{
	const struct authd_conf *c = &a->conf;
	enum err e = ERR_OK;

	a->database = c->database;
	a->migrate_database = c->migrate_database;
	a->keys = c->keys_dir;
	a->run = c->run_dir;
	if (c->embedded != NULL)
		e = start_database(a, d);
	if (e == ERR_OK)
		e = dir_make(a->keys, 0700);
	if (e == ERR_OK && a->run != NULL)
		e = dir_make(a->run, 0755);
	if (e != ERR_OK)
		return e;
	run_clear(a->run);
	(void)snprintf(a->kek, sizeof(a->kek), "%s/kek", a->keys);
	e = run_pid(a->run);
	if (e == ERR_OK && a->migrate_database != NULL)
		e = store_migrate(a->migrate_database, c->sql_dir, d);
	if (e == ERR_OK && c->kek_file == NULL)
		e = keys_make_kek(a->kek, a->database, d);
	return e;
}

static enum err
bind_both(struct authd *a, struct detail *d)
{
	const struct authd_conf *c = &a->conf;
	enum err e;

	e = http_bind(c->listen, c->tls_cert == NULL, &a->api_fd,
	    a->api_host, &a->api_port, d);
	if (e == ERR_OK)
		e = http_bind(c->device_listen, 0, &a->device_fd,
		    a->device_host, &a->device_port, d);
	if (e != ERR_OK)
		return e;
	if (c->issuer != NULL)
		(void)snprintf(a->issuer, sizeof(a->issuer), "%s", c->issuer);
	else
		(void)snprintf(a->issuer, sizeof(a->issuer), "%s://%s:%u",
		    c->tls_cert != NULL ? "https" : "http", a->api_host,
		    a->api_port);
	return ERR_OK;
}

static enum err
start_core(struct authd *a, struct detail *d)
{
	const struct authd_conf *c = &a->conf;
	const struct core_conf cc = {
	    .issuer = a->issuer,
	    .conninfo = a->database,
	    .kek_file = c->kek_file != NULL ? c->kek_file : a->kek,
	    .device_host = c->device_host != NULL ? c->device_host :
		a->device_host,
	    .device_port = a->device_port,
	    .sessions = (uint32_t)c->sessions,
	    .token_life = c->token_life_ms / 1000,
	    .device_cache = c->device_cache,
	    .token_cache = c->token_cache,
	    .suppress_notify = c->no_notify,
	    .poll_ms = (uint32_t)c->poll_ms,
	    .clock = &clock_system,
	};
	enum err e;

	e = core_open(&cc, &a->core, d);
	if (e == ERR_OK)
		e = keys_first_admin(a->core, a->keys, d);
	return e;
}

static enum err
start_http(struct authd *a, struct detail *d)
{
	const struct authd_conf *c = &a->conf;
	const struct http_conf hc = {
	    .core = a->core,
	    .api_fd = a->api_fd,
	    .device_fd = a->device_fd,
	    .tls_cert = c->tls_cert,
	    .tls_key = c->tls_key,
	    .threads = (uint32_t)c->threads,
	    .device_threads = (uint32_t)c->device_threads,
	    .workers = (uint32_t)c->workers,
	    .queue = (uint32_t)c->queue,
	    .deadline_ms = (uint32_t)c->deadline_ms,
	    .connections = (uint32_t)c->connections,
	    .per_address = (uint32_t)c->per_address,
	    .clock = &clock_system,
	};
	enum err e;

	a->api_fd = a->device_fd = -1; /* http's from here */
	e = http_start(&hc, &a->http, d);
	if (e == ERR_OK)
		e = run_ports(a->run, a->api_port, a->device_port);
	if (e == ERR_OK)
		log_line(LOG_INFO_, "listening", F_STR("issuer", a->issuer),
		    F_STR("api", a->api_host), F_INT("api_port", a->api_port),
		    F_STR("device", a->device_host),
		    F_INT("device_port", a->device_port),
		    F_STR("tls", c->tls_cert != NULL ? "yes" : "no"));
	return e;
}

static void
tell_ready(struct authd *a)
{
	if (a->told_ready || core_ready(a->core) != ERR_OK)
		return;
	if (run_ready(a->run) != ERR_OK)
		log_line(LOG_WARN_, "run directory cannot be written");
	log_line(LOG_INFO_, "ready");
	a->told_ready = 1;
}

/* Until a signal says stop. */
static void
watch(struct authd *a)
{
	const struct timespec tick = {0, TICK_MS * 1000000L};
	int64_t checked = clock_mono_ms(&clock_system), now;
	int sig;

	for (;;) {
		tell_ready(a);
		sig = sigtimedwait(&a->signals, NULL, &tick);
		if (sig == SIGTERM || sig == SIGINT)
			break;
		now = clock_mono_ms(&clock_system);
		if (a->db == NULL || now - checked < CHECK_MS)
			continue;
		checked = now;
		if (embedded_check(a->db) != ERR_OK)
			log_line(LOG_WARN_, "the database is away");
	}
	log_line(LOG_INFO_, "stopping", F_INT("signal", sig));
	http_drain(a->http, (uint32_t)a->conf.drain_ms);
}

static void
take_down(struct authd *a)
{
	http_stop(&a->http);
	core_close(&a->core);
	if (a->api_fd >= 0)
		(void)close(a->api_fd);
	if (a->device_fd >= 0)
		(void)close(a->device_fd);
	if (a->told_ready || a->api_port != 0)
		run_clear(a->run);
	embedded_stop(&a->db);
}

static enum err
run(struct authd *a, struct detail *d)
{
	enum err e;

	take_signals(a);
	e = prepare(a, d);
	if (e == ERR_OK)
		e = bind_both(a, d);
	if (e == ERR_OK)
		e = start_core(a, d);
	if (e == ERR_OK)
		e = start_http(a, d);
	if (e == ERR_OK)
		watch(a);
	take_down(a);
	return e;
}

int
main(int argc, char **argv)
{
	static struct authd a; /* too large for a stack */
	struct detail d = {""};
	enum err e;

	secret_harden_process();
	http_init();
	a.api_fd = a.device_fd = -1;
	if (config_read(argc, argv, &a.conf, &d) != ERR_OK) {
		(void)fprintf(stderr, "authd: %s\n", d.text);
		return 2;
	}
	if (a.conf.help || a.conf.version || a.conf.print_routes) {
		if (a.conf.help)
			config_help();
		else if (a.conf.version)
			(void)printf("authd (Fealty) %s\n", PACKAGE_VERSION);
		else
			http_print_routes(stdout);
		return 0;
	}
	log_set(a.conf.level, STDERR_FILENO);
	e = run(&a, &d);
	if (e == ERR_OK) {
		log_line(LOG_INFO_, "stopped");
		return 0;
	}
	log_line(LOG_ERROR_, "cannot run", F_STR("code", err_code(e)),
	    F_STR("reason", d.text[0] != '\0' ? d.text : err_text(e)));
	return e == ERR_CONFIG ? 2 : err_retryable(e) ? 3 : 1;
}
