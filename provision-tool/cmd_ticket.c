/* ticket pull, push, show: before and after burns without network. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/base/file.h"
#include "lib/base/opt.h"
#include "lib/base/parse.h"
#include "lib/crypt/digest.h"
#include "lib/jose/jwe.h"
#include "lib/wire/ticket.h"
#include "provision-tool/cmd.h"
#include "provision-tool/station.h"
#include "provision-tool/station_key.h"
#include "provision-tool/ticket_file.h"
#include "provision-tool/ticket_push.h"

#define LIFE "168h"

struct ticket_opts {
	int help;
	const char *order, *url, *credential_file, *ca_file, *journal, *key;
	uint64_t count, life;
};

#define AT(member) offsetof(struct ticket_opts, member)
static const struct opt options[] = {
    {"order", 'o', OPT_STRING, "ORDER", "pull: production order of the units",
     AT(order), 0, NULL},
    {"count", 'n', OPT_NUMBER, "N", "pull: how many identities, 1 to 250",
     AT(count), TICKET_UNITS_MAX, NULL},
    {"life", 'l', OPT_DURATION, "TIME",
     "pull: how long the ticket is good, at most 744h [" LIFE "]", AT(life),
     (uint64_t)TICKET_LIFE_MAX * 1000, LIFE},
    {"station-key", 'k', OPT_STRING, "FILE", "the station's key, mode 0600",
     AT(key), 0, NULL},
    {"journal", 'j', OPT_STRING, "DIR",
     "push, show: folder of the ticket's book", AT(journal), 0, NULL},
    {"url", 'u', OPT_STRING, "URL", "the authority's base URL", AT(url), 0,
     NULL},
    {"credential-file", 'c', OPT_STRING, "FILE",
     "file with the station's credential, mode 0600", AT(credential_file), 0,
     NULL},
    {"ca-file", 0, OPT_STRING, "FILE",
     "certificates to trust instead of the system's", AT(ca_file), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
#define NOPTIONS (sizeof(options) / sizeof(options[0]))

static int
usage(const char *what, const char *more)
{
	(void)fprintf(stderr,
		      "provision-tool: %s%s; "
		      "see provision-tool ticket --help\n",
		      what, more);
	return USAGE;
}

static int
complain(const char *path, enum err e, const struct detail *d)
{
	(void)fprintf(stderr, "provision-tool: ticket %s: %s%s%s (%s)%s\n",
		      path, err_text(e), d->text[0] == '\0' ? "" : ": ",
		      d->text, err_code(e),
		      err_retryable(e) ? "; run the same command again" : "");
	return err_retryable(e) ? TRY_AGAIN : REFUSED;
}

static enum err
connect_to(const struct ticket_opts *o, struct client **out, struct detail *d)
{
	struct client_conf conf = {.url = o->url, .ca_file = o->ca_file,
				   .timeout_ms = 60000,
				   .answer_max = TICKET_TEXT_MAX};
	const char *step;

	return station_connect(&conf, o->credential_file, out, &step, d);
}

/*
 * The id of the pull, on the disk before anything is asked: when the answer
 * is lost, the same command gets the same ticket, and no place is wasted.
 */
static enum err
request_id(const char *path, char *pending, size_t size, ticket_id_t id,
	   struct detail *d)
{
	unsigned char octets[TICKET_ID_OCTETS];
	struct buf text = {.max = TICKET_ID_LEN};
	enum err e;
	int n;

	n = snprintf(pending, size, "%s.pull", path);
	if (n < 0 || (size_t)n >= size)
		return ERR_TOO_LARGE;
	e = file_read(pending, TICKET_ID_LEN, &text);
	if (e == ERR_OK) {
		e = copy_str(id, sizeof(ticket_id_t), text.p);
		if (e == ERR_OK && !name_is_ticket(id))
			e = ERR_RECORD;
	} else if (e == ERR_NOT_FOUND) {
		e = random_bytes(octets, sizeof(octets));
		b64url_encode(octets, sizeof(octets), id);
		if (e == ERR_OK)
			e = file_write_atomic(pending, 0600, id,
					      TICKET_ID_LEN);
	}
	if (e != ERR_OK)
		detail_set(d, "%s: %s", pending,
			   e == ERR_IO ? strerror(errno) : err_text(e));
	buf_free(&text);
	return e;
}

/* Of what was asked for, to this key. */
static enum err
check_answer(const struct ticket_request *req, const struct ticket_opts *o,
	     const struct buf *answer, struct ticket *t, struct detail *d)
{
	enum err e;

	e = wire_ticket_decode(answer->p, answer->len, t, d);
	if (e == ERR_OK && strcmp(t->id, req->id) == 0 &&
	    strcmp(t->order, o->order) == 0 && t->n <= req->count)
		return ERR_OK;
	if (e == ERR_OK)
		ticket_free(t);
	detail_set(d, "the answer is not the ticket asked for");
	return ERR_INTERNAL;
}

static enum err
ask(struct client *client, const struct ticket_opts *o,
    const struct ticket_request *req, struct buf *answer, struct detail *d)
{
	struct buf body = {.max = 2048};
	struct problem why;
	char path[128];
	enum err e;

	memset(&why, 0, sizeof(why));
	(void)snprintf(path, sizeof(path), "/v1/orders/%s/tickets", o->order);
	e = wire_ticket_request_encode(req, &body);
	if (e == ERR_OK)
		e = client_call(client, "POST", path, NULL, &body, answer,
				&why);
	if (e != ERR_OK && why.detail[0] != '\0')
		detail_set(d, "%.199s", why.detail);
	else if (e == ERR_EXISTS)
		detail_set(d, "an earlier pull of that file asked for other "
			      "than this: ask as it did, or remove the .pull");
	buf_free(&body);
	return e;
}

static enum err
fill_request(const struct ticket_opts *o, const struct signer *key,
	     struct ticket_request *req)
{
	struct buf jwk = {.max = sizeof(req->station_key) - 1};
	struct es256_public pub;
	enum err e;

	req->count = (uint32_t)o->count;
	req->life = (uint32_t)(o->life / 1000);
	signer_public(key, &pub);
	e = public_jwk_write(&pub, &jwk);
	if (e == ERR_OK)
		e = copy_str(req->station_key, sizeof(req->station_key),
			     jwk.p);
	buf_free(&jwk);
	return e;
}

static int
pull(const struct ticket_opts *o, const char *path)
{
	struct buf answer = {.max = TICKET_TEXT_MAX};
	struct ticket_request req = {.count = 0};
	struct ticket t = {.n = 0};
	struct client *client = NULL;
	struct signer *key = NULL;
	struct detail d = {""};
	char pending[4096], when[TIME_TEXT];
	enum err e;

	e = station_key_read(o->key, &key, &d);
	if (e == ERR_OK)
		e = fill_request(o, key, &req);
	if (e == ERR_OK)
		e = connect_to(o, &client, &d);
	if (e == ERR_OK && access(path, F_OK) == 0) {
		detail_set(&d, "it is left alone: name another file");
		e = ERR_EXISTS;
	}
	if (e == ERR_OK)
		e = request_id(path, pending, sizeof(pending), req.id, &d);
	if (e == ERR_OK)
		e = ask(client, o, &req, &answer, &d);
	if (e == ERR_OK)
		e = check_answer(&req, o, &answer, &t, &d);
	if (e == ERR_OK) {
		e = ticket_file_write(path, key, &answer);
		if (e == ERR_IO)
			detail_set(&d, "%s", strerror(errno));
	}
	/* Asked anew it would be refused again: the next pull is another. */
	if (e == ERR_OK || e == ERR_TICKET_EXPIRED)
		(void)unlink(pending);
	if (e == ERR_OK) {
		format_time(t.expires_at, when);
		(void)printf("ticket %s: %u identities of order %s, until %s, "
			     "in %s\n",
			     t.id, t.n, t.order, when, path);
	}
	ticket_free(&t);
	buf_free(&answer);
	client_free(&client);
	signer_free(&key);
	return e == ERR_OK ? DONE : complain(path, e, &d);
}

struct tally {
	unsigned taken, burned, pushed, refused;
};

static void
count(const struct ticket_book *book, struct tally *n)
{
	const struct ticket_entry *r;
	size_t i;

	memset(n, 0, sizeof(*n));
	for (i = 0; i < book->n; i++) {
		r = &book->rows[i];
		n->taken++;
		n->burned += r->burned != 0;
		if (strcmp(r->pushed, err_code(ERR_OK)) == 0)
			n->pushed++;
		else if (r->pushed[0] != '\0')
			n->refused++;
	}
}

/* What push and show both have to open. */
static enum err
open_ticket(const struct ticket_opts *o, const char *path, struct ticket *t,
	    struct ticket_book *book, struct detail *d)
{
	struct signer *key = NULL;
	enum err e;

	e = station_key_read(o->key, &key, d);
	if (e == ERR_OK)
		e = ticket_file_read(path, key, t, d);
	signer_free(&key);
	return e == ERR_OK ? ticket_book_open(o->journal, t->id, book, d) : e;
}

static int
push(const struct ticket_opts *o, const char *path)
{
	struct ticket_book book = {.lock = -1};
	struct client *client = NULL;
	struct ticket t = {.n = 0};
	struct detail d = {""};
	struct tally n = {0};
	enum err e;

	e = open_ticket(o, path, &t, &book, &d);
	if (e == ERR_OK)
		e = connect_to(o, &client, &d);
	if (e == ERR_OK)
		e = ticket_push(client, &book, &d);
	if (e == ERR_OK) {
		count(&book, &n);
		(void)printf("ticket %s: %u of %u active, %u refused, "
			     "%u not finished\n",
			     t.id, n.pushed, n.taken, n.refused,
			     n.taken - n.burned);
	}
	ticket_book_close(&book);
	client_free(&client);
	ticket_free(&t);
	if (e != ERR_OK)
		return complain(path, e, &d);
	return n.refused == 0 ? DONE : REFUSED;
}

static int
show(const struct ticket_opts *o, const char *path)
{
	struct ticket_book book = {.lock = -1};
	struct ticket t = {.n = 0};
	struct detail d = {""};
	char when[TIME_TEXT];
	struct tally n;
	enum err e;

	e = open_ticket(o, path, &t, &book, &d);
	if (e == ERR_OK) {
		format_time(t.expires_at, when);
		count(&book, &n);
		(void)printf("ticket     %s\norder      %s\nmodel      %s\n"
			     "issuer     %s\nexpires    %s\n"
			     "identities %u, %u taken, %u burned, "
			     "%u active, %u refused\n",
			     t.id, t.order, t.model, t.issuer, when, t.n,
			     n.taken, n.burned, n.pushed, n.refused);
	}
	ticket_book_close(&book);
	ticket_free(&t);
	return e == ERR_OK ? DONE : complain(path, e, &d);
}

static int
check_online(const struct ticket_opts *o)
{
	static const char lacks[] = "missing option --";

	if (o->url == NULL)
		return usage(lacks, "url");
	if (o->credential_file == NULL)
		return usage(lacks, "credential-file");
	return DONE;
}

static int
check_opts(const struct ticket_opts *o, const char *verb)
{
	static const char lacks[] = "missing option --";
	int online = strcmp(verb, "show") != 0;

	if (o->key == NULL)
		return usage(lacks, "station-key");
	if (strcmp(verb, "pull") != 0)
		return o->journal == NULL ? usage(lacks, "journal")
		       : online		  ? check_online(o)
					  : DONE;
	if (o->order == NULL)
		return usage(lacks, "order");
	if (!name_is_order(o->order))
		return usage("that is no name of an order", "");
	if (o->count == 0)
		return usage(lacks, "count");
	if (o->life < 1000)
		return usage("--life: a second at least", "");
	return check_online(o);
}

static const struct {
	const char *name;
	int (*run)(const struct ticket_opts *, const char *path);
} verbs[] = {{"pull", pull}, {"push", push}, {"show", show}};
#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

int
cmd_ticket(int argc, char **argv)
{
	struct ticket_opts o = {0};
	struct detail d = {""};
	int rest, code;
	size_t i;

	if (opt_parse(options, NOPTIONS, "FEALTY", argc, argv, &o, &rest, &d) !=
	    ERR_OK)
		return usage(d.text, "");
	if (o.help) {
		(void)printf("usage: provision-tool ticket pull|push|show "
			     "FILE [OPTION]...\n\n");
		opt_help(options, NOPTIONS);
		return DONE;
	}
	if (argc - rest != 2)
		return usage("say pull, push or show, and the ticket's file",
			     "");
	for (i = 0; i < NVERBS; i++) {
		if (strcmp(argv[rest], verbs[i].name) != 0)
			continue;
		code = check_opts(&o, verbs[i].name);
		return code == DONE ? verbs[i].run(&o, argv[rest + 1]) : code;
	}
	return usage("not one of pull, push, show: ", argv[rest]);
}
