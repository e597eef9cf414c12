#ifndef TESTS_SSE_H
#define TESTS_SSE_H

#include <stddef.h>
#include <stdint.h>

/* A reader of server-sent events over plain HTTP, as small as can be. */
struct sse;
struct sse_event {
	char name[32];
	uint64_t id;	  /* 0: it had none */
	const char *data; /* until the next call */
	size_t len;
};
/* after or last_id UINT64_MAX: absent. NULL when there is no 200. */
struct sse *sse_open(uint16_t port, const char *credential, uint64_t after,
    uint64_t last_id);
/* 1 an event, 0 none within ms, -1 the stream has ended. */
int sse_next(struct sse *s, int ms, struct sse_event *out);
int sse_fd(const struct sse *s);
void sse_close(struct sse **s);

#endif
