#include "authd/run.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"

static enum err
put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];

	if (dir == NULL)
		return ERR_OK;
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return ERR_CONFIG;
	return file_write_atomic(path, 0644, text, strlen(text));
}

void
run_clear(const char *dir)
{
	static const char *const names[] = {"ready", "ports", "authd.pid"};
	char path[PATH_MAX];
	size_t i;

	for (i = 0; dir != NULL && i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
}

enum err
run_pid(const char *dir)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	return put(dir, "authd.pid", text);
}

enum err
run_ports(const char *dir, uint16_t api, uint16_t device)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "api=%u\ndevice=%u\n", api,
	    device);
	return put(dir, "ports", text);
}

enum err
run_ready(const char *dir)
{
	return put(dir, "ready", "ready\n");
}
