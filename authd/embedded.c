/* A private PostgreSQL: start, watch, stop. */
#include "authd/embedded_impl.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "authd/store/bootstrap.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000
#define FAST_MS 30000
#define QUIT_MS 10000

/* requirepeer: nobody else can stand in for the server. */
static void
conninfo(const struct embedded *em, char out[EM_CONNINFO], const char *role,
    const char *database)
{
	(void)snprintf(out, EM_CONNINFO, "host=%s port=5432 user=%s "
	    "dbname=%s requirepeer=%s", em->socket_dir, role, database,
	    em->user);
}

static void
end_server(struct embedded *em)
{
	if (em->pid == 0)
		return;
	(void)kill(em->pid, SIGINT);
	if (!em_wait(em->pid, FAST_MS, NULL)) {
		(void)kill(em->pid, SIGQUIT);
		if (!em_wait(em->pid, QUIT_MS, NULL)) {
			(void)kill(em->pid, SIGKILL);
			(void)em_wait(em->pid, QUIT_MS, NULL);
		}
	}
	em->pid = 0;
}

void
embedded_stop(struct embedded **p)
{
	struct embedded *em;

	if (p == NULL || *p == NULL)
		return;
	em = *p;
	*p = NULL;
	end_server(em);
	em_socket_remove(em);
	if (em->db_fd >= 0)
		(void)close(em->db_fd);
	if (em->lock_fd >= 0)
		(void)close(em->lock_fd);
	if (em->run_fd >= 0)
		(void)close(em->run_fd);
	free(em);
}

static enum err
start(struct embedded *em, const struct embedded_conf *conf,
    struct detail *d)
{
	enum err e;

	e = em_user(em, conf->db_user, d);
	if (e == ERR_OK)
		e = em_binaries(em, conf->bin_dir, d);
	if (e == ERR_OK)
		e = em_layout(em, conf->dir, d);
	if (e == ERR_OK)
		e = em_cluster(em, d);
	if (e == ERR_OK)
		e = em_end_leftover(em, d);
	if (e == ERR_OK)
		e = em_access(em, d);
	if (e == ERR_OK)
		e = em_socket_dir(em, d);
	if (e != ERR_OK)
		return e;
	conninfo(em, em->app, "fealty_app", EM_DATABASE);
	conninfo(em, em->owner, "fealty_owner", EM_DATABASE);
	conninfo(em, em->super, EM_SUPERUSER, "postgres");
	e = em_server_spawn(em);
	if (e == ERR_OK)
		e = em_server_ready(em, d);
	if (e == ERR_OK)
		e = store_bootstrap(em->super, conf->roles_file, EM_DATABASE,
		    d);
	return e;
}

enum err
embedded_start(const struct embedded_conf *conf, struct embedded **out,
    struct detail *d)
{
	struct embedded *em;
	enum err e;

	em = calloc(1, sizeof(*em));
	if (em == NULL)
		return ERR_NOMEM;
	em->lock_fd = em->run_fd = em->db_fd = -1;
	em->pause_ms = PAUSE_MIN_MS;
	e = start(em, conf, d);
	if (e != ERR_OK) {
		embedded_stop(&em);
		return e;
	}
	*out = em;
	return ERR_OK;
}

enum err
embedded_check(struct embedded *em)
{
	int64_t now = clock_mono_ms(&clock_system);

	if (em->pid != 0 && !em_wait(em->pid, 0, NULL)) {
		if (store_ping(em->super) != ERR_OK)
			return ERR_STORE;
		em->pause_ms = PAUSE_MIN_MS;
		return ERR_OK;
	}
	if (em->pid != 0) {
		log_line(LOG_ERROR_, "the database server died");
		em->pid = 0;
		em->restart_at = now;
	}
	if (now < em->restart_at)
		return ERR_STORE;
	em->restart_at = now + em->pause_ms;
	if (em->pause_ms < PAUSE_MAX_MS)
		em->pause_ms *= 2;
	if (em_server_spawn(em) != ERR_OK)
		em->pid = 0;
	return ERR_STORE;
}

const char *
embedded_app(const struct embedded *em)
{
	return em->app;
}

const char *
embedded_owner(const struct embedded *em)
{
	return em->owner;
}

const char *
embedded_keys(const struct embedded *em)
{
	return em->keys;
}

pid_t
embedded_pid(const struct embedded *em)
{
	return em->pid;
}
