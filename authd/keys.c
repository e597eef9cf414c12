#include "authd/keys.h"

#include <sys/random.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "authd/core/core.h"
#include "authd/store/store.h"
#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#define CONNECT_MS 10000
#define STATEMENT_MS 10000

/* The data key that has been sealed last, of the authority's own. */
static enum err
newest_data_key(const char *database, struct data_key_row *row)
{
	const struct store_conf conf = {database, 1, CONNECT_MS, STATEMENT_MS};
	struct store_pool *pool = NULL;
	struct store *st = NULL;
	enum err e;

	e = store_pool_open(&conf, &pool);
	if (e == ERR_OK)
		e = store_acquire(pool, CONNECT_MS, &st);
	if (e == ERR_OK)
		e = store_begin(st, 0, STORE_READ);
	if (e == ERR_OK)
		e = store_data_key_newest(st, row);
	store_release(&st);
	store_pool_close(&pool);
	return e;
}

/* Another key than the one that is missing would open nothing there. */
static enum err
nothing_is_sealed(const char *database, const char *path, struct detail *d)
{
	struct data_key_row row = {0};
	enum err e = newest_data_key(database, &row);

	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e == ERR_OK) {
		detail_set(d, "%.120s is missing: it is the key-encryption "
		    "key (%s) of this database; put it back", path,
		    row.kek_id);
		e = ERR_CONFIG;
	}
	return e;
}

enum err
keys_make_kek(const char *path, const char *database, struct detail *d)
{
	char hex[2 * KEY32_LEN + 1];
	struct key32 k;
	enum err e;

	if (access(path, F_OK) == 0)
		return ERR_OK; /* what it holds is judged by who reads it */
	e = nothing_is_sealed(database, path, d);
	if (e != ERR_OK)
		return e;
	e = ERR_CRYPTO;
	if (getrandom(k.b, sizeof(k.b), 0) == (ssize_t)sizeof(k.b)) {
		hex_encode(k.b, sizeof(k.b), hex);
		e = file_create_atomic(path, 0600, hex, sizeof(hex) - 1);
	}
	key32_wipe(&k);
	wipe(hex, sizeof(hex));
	if (e == ERR_EXISTS)
		return ERR_OK; /* another authd was first */
	if (e == ERR_OK)
		log_line(LOG_INFO_, "key-encryption key made",
		    F_STR("file", path));
	else
		detail_set(d, "%.150s: cannot be made", path);
	return e;
}

static enum err
keep_credential(void *path, const struct secret *credential)
{
	return file_write_atomic(path, 0600, credential->p, credential->len);
}

enum err
keys_first_admin(struct core *core, const char *dir, struct detail *d)
{
	char path[PATH_MAX];
	int made = 0;
	enum err e;

	if (snprintf(path, sizeof(path), "%s/admin.credential", dir) >=
	    (int)sizeof(path))
		return ERR_CONFIG;
	/* Find out that the directory takes no file before it matters. */
	if (access(dir, W_OK | X_OK) != 0) {
		detail_set(d, "%.150s: not writable", dir);
		return ERR_CONFIG;
	}
	e = core_first_admin(core, keep_credential, path, &made);
	if (e != ERR_OK)
		detail_set(d, "the first admin: %s", err_text(e));
	else if (made)
		log_line(LOG_INFO_, "first admin made", F_STR("file", path));
	return e;
}
