#include "lib/base/secret.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX ((size_t)1 << 20)

/*
 * Vector registers that copied a secret keep it until something else is
 * copied, and the dynamic linker, signals and context switches save them in
 * memory: they go, too, where the compiler can do it.
 */
#ifdef __has_attribute
#if __has_attribute(zero_call_used_regs)
__attribute__((zero_call_used_regs("all")))
#endif
#endif
void
wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}

void
key32_wipe(struct key32 *k)
{
	wipe(k, sizeof(*k));
}

int
ct_equal(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned diff = 0;
	size_t i;

	for (i = 0; i < len; i++)
		diff |= (unsigned)(x[i] ^ y[i]);
	return (int)(((diff - 1) >> 8) & 1);
}

enum err
secret_set(struct secret *s, const void *p, size_t len)
{
	struct secret n = {0};
	enum err e;

	/* Through a second one, so that p may lie in the old content. */
	e = secret_resize(&n, len);
	if (e != ERR_OK)
		return e;
	if (len > 0)
		memcpy(n.p, p, len);
	secret_free(s);
	*s = n;
	return ERR_OK;
}

enum err
secret_resize(struct secret *s, size_t len)
{
	unsigned char *p;
	size_t cap;

	if (len > SECRET_MAX)
		return ERR_TOO_LARGE;
	cap = len > 0 ? len : 1;
	p = calloc(1, cap);
	if (p == NULL)
		return ERR_NOMEM;
	secret_free(s);
	s->p = p;
	s->len = len;
	s->cap = cap;
	return ERR_OK;
}

void
secret_free(struct secret *s)
{
	if (s == NULL)
		return;
	if (s->p != NULL)
		wipe(s->p, s->cap);
	free(s->p);
	s->p = NULL;
	s->len = 0;
	s->cap = 0;
}

void
secret_harden_process(void)
{
	const struct rlimit none = {0, 0};

	/*
	 * Both: RLIMIT_CORE does not bind a core_pattern that is a pipe, and
	 * DUMPABLE also shuts out ptrace and /proc/PID/mem.
	 */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

void
wiping_free(void *p)
{
	if (p != NULL)
		wipe(p, malloc_usable_size(p));
	free(p);
}

void *
wiping_realloc(void *p, size_t n)
{
	size_t old = p == NULL ? 0 : malloc_usable_size(p);
	void *q = malloc(n);

	if (q == NULL)
		return NULL;
	if (p != NULL)
		memcpy(q, p, old < n ? old : n);
	wiping_free(p);
	return q;
}
