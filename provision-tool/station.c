#include "provision-tool/station.h"

#include <sys/types.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/secret.h"

#define ORDER_MAX ((size_t)64 << 10) /* octets of an order's JSON */
#define PASSWD_MAX 16384 /* a line of passwd(5) */

const char *
station_fault(const struct station *st)
{
	if (st->order == NULL)
		return "missing option --order";
	if (st->url == NULL)
		return "missing option --url";
	if (st->credential_file == NULL)
		return "missing option --credential-file";
	if (!name_is_order(st->order) || strcmp(st->order, ".") == 0 ||
	    strcmp(st->order, "..") == 0)
		return "that is no name of an order";
	return NULL;
}

const char *
station_folder(const struct station *st, char *room, size_t size,
	       struct detail *d)
{
	struct passwd entry, *me = NULL;
	char text[PASSWD_MAX];
	int n;

	if (st->journal != NULL)
		return st->journal;
	if (getpwuid_r(getuid(), &entry, text, sizeof(text), &me) == 0 &&
	    me != NULL && me->pw_dir != NULL && me->pw_dir[0] == '/') {
		n = snprintf(room, size, "%s/.local/state/fealty", me->pw_dir);
		if (n > 0 && (size_t)n < size)
			return room;
	}
	detail_set(d, "give --journal DIR");
	return NULL;
}

enum err
station_journal(const struct station *st, struct journal **out,
		struct detail *d)
{
	char room[PATH_MAX];
	const char *dir = station_folder(st, room, sizeof(room), d);

	return dir == NULL ? ERR_CONFIG :
			     journal_open(dir, st->order, out, d);
}

enum err
station_connect(struct client_conf *conf, const char *credential_file,
		struct client **out, const char **step, struct detail *d)
{
	struct secret credential = {0};
	enum err e;

	*step = "credential";
	e = client_read_credential(credential_file, &credential);
	if (e != ERR_OK) {
		detail_set(d, "%s: %s", credential_file,
			   client_credential_fault(e));
		goto out;
	}
	*step = "connection";
	conf->credential = &credential;
	e = client_new(conf, out);
	if (e != ERR_OK)
		detail_set(d, "check --url and --ca-file");
out:
	conf->credential = NULL;
	secret_free(&credential);
	return e;
}

enum err
station_client(const struct station *st, uint32_t tries, struct client **out,
	       const char **step, struct detail *d)
{
	struct client_conf conf = {.url = st->url, .ca_file = st->ca_file,
				   .tries = tries};

	return station_connect(&conf, st->credential_file, out, step, d);
}

enum err
station_get(struct client *c, const char *path, struct buf *answer,
	    struct detail *d)
{
	struct problem why;
	enum err e;

	memset(&why, 0, sizeof(why));
	e = client_call(c, "GET", path, NULL, NULL, answer, &why);
	if (e != ERR_OK && why.detail[0] != '\0')
		detail_set(d, "%.199s", why.detail);
	return e;
}

enum err
station_order(const struct station *st, struct client *c, struct order *out,
	      struct detail *d)
{
	struct buf answer = {.max = ORDER_MAX};
	char path[192];
	enum err e;

	(void)snprintf(path, sizeof(path), "/v1/orders/%s", st->order);
	e = station_get(c, path, &answer, d);
	if (e == ERR_OK &&
	    wire_order_decode(answer.p, answer.len, out, d) != ERR_OK)
		e = ERR_INTERNAL; /* the answer's fault */
	buf_free(&answer);
	return e;
}

uint32_t
station_places_left(const struct order *o)
{
	return o->closed || o->issued > o->quantity ? 0
						    : o->quantity - o->issued;
}
