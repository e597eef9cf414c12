#ifndef CLIENT_EASY_H
#define CLIENT_EASY_H

#include <curl/curl.h>
#include "lib/base/secret.h"

/* What requests and streams have in common; for lib/client itself. */

/* Starts libcurl, once. */
void easy_start(void);
/* The rules for every handle: TLS, no proxy, no redirect. ERR_CONFIG. */
enum err easy_options(CURL *h, const char *ca_file) MUST_CHECK;
/* "Authorization: Bearer ..." with its NUL; empty without a credential. */
enum err easy_bearer(struct secret *bearer, const struct secret *credential)
    MUST_CHECK;
enum err easy_header(struct curl_slist **list, const char *text) MUST_CHECK;
/* The list may hold a credential: wiped. */
void easy_headers_free(struct curl_slist *list);

#endif
