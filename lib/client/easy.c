#include "lib/client/easy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

/*
 * The request libcurl writes holds the credential, and what it receives may
 * hold a key: none of its memory is freed as it is. Where a host has started
 * libcurl before us, that host's memory functions stay.
 */
static void
curl_start(void)
{
	(void)curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free,
	    wiping_realloc, strdup, calloc);
}

void
easy_start(void)
{
	pthread_once(&curl_once, curl_start);
}

enum err
easy_bearer(struct secret *bearer, const struct secret *credential)
{
	static const char head[] = "Authorization: Bearer ";
	enum err e;
	size_t i;

	if (credential == NULL || credential->len == 0)
		return ERR_OK;
	/* It goes into a header line: nothing that could end one. */
	for (i = 0; i < credential->len; i++)
		if (credential->p[i] < 0x21 || credential->p[i] > 0x7e)
			return ERR_CONFIG;
	e = secret_resize(bearer, sizeof(head) + credential->len);
	if (e != ERR_OK)
		return e;
	memcpy(bearer->p, head, sizeof(head) - 1);
	memcpy(bearer->p + sizeof(head) - 1, credential->p, credential->len);
	return ERR_OK;
}

enum err
easy_options(CURL *h, const char *ca_file)
{
	int bad = 0;

	bad |= curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_PROXY, "") != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") !=
	    CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_SSLVERSION,
	    (long)CURL_SSLVERSION_TLSv1_2) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_NETRC,
	    (long)CURL_NETRC_IGNORED) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_TCP_NODELAY, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_USERAGENT, "fealty") != CURLE_OK;
	if (ca_file != NULL)
		bad |= curl_easy_setopt(h, CURLOPT_CAINFO, ca_file) !=
		    CURLE_OK;
	return bad ? ERR_CONFIG : ERR_OK;
}

enum err
easy_header(struct curl_slist **list, const char *text)
{
	struct curl_slist *grown = curl_slist_append(*list, text);

	if (grown == NULL)
		return ERR_NOMEM;
	*list = grown;
	return ERR_OK;
}

/* The list holds a copy of the credential: wiped before it is freed. */
void
easy_headers_free(struct curl_slist *list)
{
	struct curl_slist *l;

	for (l = list; l != NULL; l = l->next)
		wipe(l->data, strlen(l->data));
	curl_slist_free_all(list);
}
