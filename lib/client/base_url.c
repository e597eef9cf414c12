#include "lib/client/base_url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>

/* 1 if the URL's host is this machine by its own word. */
static int
loopback_host(const char *host)
{
	struct in_addr a4;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return 1;
	return inet_pton(AF_INET, host, &a4) == 1 &&
	    (ntohl(a4.s_addr) >> 24) == 127;
}

/*
 * A path may follow the host; a user, a query or a fragment would make of
 * the paths set behind it something else.
 */
static int
is_base(CURLU *u)
{
	static const CURLUPart none[] = {CURLUPART_USER, CURLUPART_PASSWORD,
	    CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT};
	char *part = NULL;
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		if (curl_url_get(u, none[i], &part, 0) == CURLUE_OK) {
			curl_free(part);
			return 0;
		}
	}
	return 1;
}

enum err
base_url_check(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL;
	enum err e = ERR_CONFIG;

	if (u == NULL)
		return ERR_NOMEM;
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		goto out;
	/* An empty query or fragment is not reported as a part. */
	if (!is_base(u) || strpbrk(url, "?#\\") != NULL)
		goto out;
	if (strcmp(scheme, "https") == 0 ||
	    (strcmp(scheme, "http") == 0 && loopback_host(host)))
		e = ERR_OK;
out:
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return e;
}
