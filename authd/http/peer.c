#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>

#include "authd/http/request.h"

/* Who is at the other end, for rations and for the log. */

/* FNV-1a over the address; a collision shares a bucket, no more. */
static uint64_t
hash_address(const void *p, size_t len, uint64_t h)
{
	const unsigned char *s = p;

	h ^= UINT64_C(14695981039346656037);
	while (len-- > 0)
		h = (h ^ *s++) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

void
conn_take_address(struct conn *c, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *six;
	const struct sockaddr_in *four;

	if (sa != NULL && sa->sa_family == AF_INET) {
		four = (const struct sockaddr_in *)(const void *)sa;
		(void)inet_ntop(AF_INET, &four->sin_addr, c->peer,
		    sizeof(c->peer));
		c->address = hash_address(&four->sin_addr, 4, 4);
	} else if (sa != NULL && sa->sa_family == AF_INET6) {
		six = (const struct sockaddr_in6 *)(const void *)sa;
		(void)inet_ntop(AF_INET6, &six->sin6_addr, c->peer,
		    sizeof(c->peer));
		/* a customer's network, not its 2^64 addresses */
		c->address = hash_address(&six->sin6_addr, 8, 6);
	}
}
