#include <sys/wait.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/gwverify.h"
#include "lib/revoke/revset.h"

#define BATCH 500 /* as signed messages bring them */

/* A figure of /proc/self/status in KiB, or -1. */
static long
status_kib(const char *name)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtol(line + strlen(name), NULL, 10);
	(void)fclose(f);
	return kib;
}

/* The high-water mark starts anew. */
static int
forget_peak(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "we");
	int rc;

	if (f == NULL)
		return -1;
	rc = fputs("5", f) < 0 ? -1 : 0;
	return fclose(f) == 0 ? rc : -1;
}

static int
grow(struct revset *s, uint64_t devices)
{
	static struct event ev[BATCH];
	uint64_t i;
	size_t n = 0;

	for (i = 1; i <= devices; i++) {
		ev[n] = (struct event){
		    .pos = i, .kind = EV_DEVICE, .effect = EFFECT_BLOCK};
		/* numbers need not be dense */
		(void)snprintf(ev[n].id, sizeof(ev[n].id), "%llu",
		    (unsigned long long)(i * 7919));
		if (++n < BATCH && i < devices)
			continue;
		if (revset_apply(s, ev, n) != ERR_OK)
			return -1;
		n = 0;
	}
	return 0;
}

static int
measure(uint64_t devices, struct set_memory *out)
{
	struct revset *s = NULL;
	uint64_t entries, octets;
	long before, peak, after;

	if (revset_new(1, &s) != ERR_OK || forget_peak() != 0)
		return -1;
	before = status_kib("VmRSS:");
	if (grow(s, devices) != 0)
		return -1;
	peak = status_kib("VmHWM:");
	(void)malloc_trim(0);
	after = status_kib("VmRSS:");
	revset_size(s, &entries, &octets);
	if (before < 0 || peak < 0 || after < 0 || entries != devices)
		return -1;
	out->steady_mib = (double)(after - before) / 1024;
	/* never less than what it says to hold */
	if (out->steady_mib < (double)octets / 1048576)
		out->steady_mib = (double)octets / 1048576;
	out->growing_mib = (double)(peak - before) / 1024;
	if (out->growing_mib < out->steady_mib)
		out->growing_mib = out->steady_mib;
	revset_free(&s);
	return 0;
}

int
set_memory(uint64_t devices, struct set_memory *out)
{
	struct set_memory m = {0, 0};
	int fds[2], status = -1, rc = -1;
	pid_t child;

	if (pipe(fds) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		if (measure(devices, &m) == 0 &&
		    write(fds[1], &m, sizeof(m)) == (ssize_t)sizeof(m))
			_exit(0);
		_exit(1);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
	    read(fds[0], &m, sizeof(m)) == (ssize_t)sizeof(m)) {
		*out = m;
		rc = 0;
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
	if (rc != 0)
		fprintf(stderr, "the set's memory could not be measured\n");
	return rc;
}
