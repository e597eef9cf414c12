#include "authd/keys.h"

#include <sys/random.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "authd/core/core.h"
#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

enum err
keys_make_kek(const char *path, struct detail *d)
{
	char hex[2 * KEY32_LEN + 1];
	struct key32 k;
	enum err e = ERR_CRYPTO;

	if (access(path, F_OK) == 0)
		return ERR_OK; /* what it holds is judged by who reads it */
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
