#ifndef AUTHD_CONFIG_H
#define AUTHD_CONFIG_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/log.h"

/*
 * All of authd's options: one table for the configuration file, the
 * environment (FEALTY_*) and the command line (lib/base/opt.h).
 */
struct authd_conf {
	const char *embedded;
	const char *config;
	const char *database, *migrate_database;
	const char *db_user, *db_bin_dir;
	const char *keys_dir, *kek_file, *run_dir, *sql_dir;
	const char *listen, *device_listen;
	const char *issuer, *device_host;
	const char *tls_cert, *tls_key;
	uint64_t threads, device_threads, workers, queue, sessions;
	uint64_t deadline_ms, token_life_ms, poll_ms, drain_ms;
	uint64_t connections, per_address, device_cache, token_cache;
	const char *log_level;
	int no_notify, print_routes, help, version;
	enum log_level level; /* of log_level */
};
/* ERR_CONFIG with d: print it, exit 2. */
enum err config_read(int argc, char **argv, struct authd_conf *out,
    struct detail *d) MUST_CHECK;
void config_help(void);

#endif
