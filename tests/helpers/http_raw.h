#ifndef TESTS_HTTP_RAW_H
#define TESTS_HTTP_RAW_H

#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

/*
 * HTTP/1.1 octet by octet, for tests that send what no client library would.
 * One connection to 127.0.0.1 a request; 30 s at most.
 */
struct http_answer {
	int status; /* 0: closed without an answer */
	char head[4096];
	char body[65536];
	size_t body_len;
};
/* Sends request (len octets) and reads one answer. 0, or -1 on no answer. */
int http_raw(uint16_t port, const char *request, size_t len,
    struct http_answer *out);
/*
 * The same from parts. credential, type, body NULL: left out. length: the
 * Content-Length to announce (-1: that of body).
 */
int http_ask(uint16_t port, const char *method, const char *path,
    const char *credential, const char *type, const char *body, long length,
    struct http_answer *out);
/* In steps, on a connection that is kept: the socket or -1; 0 done. */
int http_connect(uint16_t port);
int http_send(int fd, const char *p, size_t len);
int http_receive(int fd, int head_only, struct http_answer *out);
/* The same by fn, which reads at most len octets as recv does. */
typedef ssize_t http_read_fn(void *from, void *p, size_t len);
int http_receive_by(http_read_fn *fn, void *from, int head_only,
    struct http_answer *out);
#define TYPE_JSON "application/json"
#define TYPE_FORM "application/x-www-form-urlencoded"
/* 1 if the head has the header, its value beginning so. */
int http_has(const struct http_answer *a, const char *name,
    const char *value);
/* Text member of a JSON body, found by its text; 0 found and copied. */
int http_member(const struct http_answer *a, const char *name, char *out,
    size_t size);

#endif
