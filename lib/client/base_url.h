#ifndef CLIENT_BASE_URL_H
#define CLIENT_BASE_URL_H

#include "lib/base/err.h"

/*
 * ERR_OK for https anywhere and http to loopback: a credential never goes in
 * clear. Nothing behind the path, nobody before the host. Else ERR_CONFIG.
 */
enum err base_url_check(const char *url) MUST_CHECK;

#endif
