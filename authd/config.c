#include "authd/config.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/opt.h"
#include "lib/model/names.h"

#define AT(m) offsetof(struct authd_conf, m)
#define STR(n, m, arg, help, def) \
	{n, 0, OPT_STRING, arg, help, AT(m), 0, def}
#define NUM(n, m, help, max, def) \
	{n, 0, OPT_NUMBER, "N", help, AT(m), max, def}
#define DUR(n, m, help, max, def) \
	{n, 0, OPT_DURATION, "TIME", help, AT(m), max, def}
#define FLAG(n, c, m, help) {n, c, OPT_FLAG, NULL, help, AT(m), 0, NULL}

static const struct opt table[] = {
    STR("embedded", embedded, "DIR", "run a private PostgreSQL in DIR", NULL),
    STR("config", config, "FILE", "read options from FILE", NULL),
    STR("database", database, "CONNINFO", "PostgreSQL, as fealty_app", NULL),
    STR("migrate-database", migrate_database, "CONNINFO",
	"the same as fealty_owner: apply migrations", NULL),
    STR("db-user", db_user, "USER",
	"whom the private PostgreSQL runs as when started by root", NULL),
    STR("db-bin-dir", db_bin_dir, "DIR", "of initdb and postgres", NULL),
    STR("keys-dir", keys_dir, "DIR", "of kek and admin.credential", NULL),
    STR("kek-file", kek_file, "FILE",
	"key-encryption key, 64 hex digits (default KEYS-DIR/kek)", NULL),
    STR("run-dir", run_dir, "DIR", "of ports, ready, authd.pid", NULL),
    STR("sql-dir", sql_dir, "DIR", "of the migrations", PKGDATADIR "/sql"),
    STR("listen", listen, "ADDR:PORT", "the API", "127.0.0.1:8700"),
    STR("device-listen", device_listen, "ADDR:PORT", "the device listener",
	"127.0.0.1:8701"),
    STR("issuer", issuer, "URL",
	"base URL (default: of the API's address)", NULL),
    STR("device-host", device_host, "HOST",
	"the device listener as devices reach it (default: its address)",
	NULL),
    STR("tls-cert", tls_cert, "FILE", "PEM certificate of the API", NULL),
    STR("tls-key", tls_key, "FILE", "PEM key of the API, mode 0600", NULL),
    NUM("threads", threads, "event loops of the API; 0: one a core", 256,
	"0"),
    NUM("device-threads", device_threads, "of the device listener", 256,
	"8"),
    NUM("workers", workers, "threads that wait for the database", 256, "16"),
    NUM("queue", queue, "requests that may wait for a worker", 65536,
	"1024"),
    NUM("sessions", sessions, "database sessions", 253, "16"),
    DUR("deadline", deadline_ms, "how long a request may wait", 60000,
	"10s"),
    DUR("token-life", token_life_ms, "life of an access token", 3600000,
	"10m"),
    DUR("poll-interval", poll_ms, "of the follower without wake-ups", 10000,
	"200ms"),
    DUR("drain", drain_ms, "for requests under way when stopping", 60000,
	"10s"),
    NUM("connections", connections, "at most, each listener", 65536, "4096"),
    NUM("connections-per-address", per_address, "0: no limit", 65536,
	"1024"),
    NUM("device-cache", device_cache, "devices kept in memory", 10000000,
	"100000"),
    NUM("token-cache", token_cache, "verified tokens kept in memory",
	10000000, "65536"),
    STR("log-level", log_level, "LEVEL", "debug, info, warn, error", "info"),
    FLAG("no-notify", 0, no_notify, "follow the database by polling only"),
    FLAG("print-routes", 0, print_routes, "print the route table"),
    FLAG("help", 'h', help, "this text"),
    FLAG("version", 'V', version, "the version"),
};
#define NOPTS (sizeof(table) / sizeof(table[0]))

void
config_help(void)
{
	(void)printf("usage: authd --embedded DIR [OPTION...]\n"
		     "       authd --config FILE [OPTION...]\n"
		     "Each option but help and version may stand in FILE as "
		     "\"name = value\" and in the\nenvironment as "
		     "FEALTY_NAME.\n\n");
	opt_help(table, NOPTS);
}

static enum err
parse_level(struct authd_conf *c, struct detail *d)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	int i = name_find(names, 4, c->log_level);

	if (i < 0) {
		detail_set(d, "log-level: debug, info, warn or error");
		return ERR_CONFIG;
	}
	c->level = (enum log_level)i;
	return ERR_OK;
}

static enum err
check_issuer(const char *s, struct detail *d)
{
	size_t len = strlen(s);

	if ((strncmp(s, "https://", 8) != 0 &&
		strncmp(s, "http://", 7) != 0) ||
	    len > ISSUER_MAX - NAME_MAX_LEN - 3 || s[len - 1] == '/' ||
	    strpbrk(s, "?#\"\\ <>") != NULL) {
		detail_set(d, "issuer: an http(s) URL without query, "
		    "fragment or trailing slash");
		return ERR_CONFIG;
	}
	return ERR_OK;
}

/* Options that are wrong only together, or by their form. */
static enum err
check(struct authd_conf *c, struct detail *d)
{
	const char *fault = NULL;

	if ((c->embedded != NULL) == (c->database != NULL))
		fault = "give --embedded DIR, or a database by --config FILE "
		    "or --database";
	else if (c->embedded == NULL && c->keys_dir == NULL)
		fault = "keys-dir: needed with database";
	else if ((c->tls_cert == NULL) != (c->tls_key == NULL))
		fault = "tls-cert and tls-key go together";
	else if (c->workers == 0 || c->device_threads == 0 ||
	    c->sessions == 0 || c->queue == 0)
		fault = "workers, device-threads, sessions, queue: at least 1";
	else if (c->connections < 16 || c->device_cache == 0 ||
	    c->token_cache == 0)
		fault = "connections: at least 16; caches: at least 1";
	else if (c->token_life_ms < 1000 || c->deadline_ms < 100)
		fault = "token-life: at least 1s; deadline: at least 100ms";
	else if (c->device_host != NULL && !name_is_host(c->device_host))
		fault = "device-host: not a host";
	if (fault != NULL) {
		detail_set(d, "%s", fault);
		return ERR_CONFIG;
	}
	return c->issuer == NULL ? ERR_OK : check_issuer(c->issuer, d);
}

enum err
config_read(int argc, char **argv, struct authd_conf *out, struct detail *d)
{
	struct authd_conf c;
	int rest = 0;
	enum err e;

	memset(&c, 0, sizeof(c));
	e = opt_parse(table, NOPTS, "FEALTY", argc, argv, &c, &rest, d);
	if (e == ERR_OK && rest < argc) {
		detail_set(d, "%.80s: not an option", argv[rest]);
		e = ERR_CONFIG;
	}
	if (e == ERR_OK && !c.help && !c.version && !c.print_routes) {
		e = parse_level(&c, d);
		if (e == ERR_OK)
			e = check(&c, d);
	}
	if (e == ERR_OK)
		*out = c;
	return e;
}
