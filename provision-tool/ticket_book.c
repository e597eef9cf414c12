#include "provision-tool/ticket_book.h"

#include <sys/file.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/wire/ticket.h"

#define BOOK_MAX ((size_t)1 << 20)

static void
read_row(struct jin *parent, json_t *o, struct ticket_entry *r)
{
	struct jin in, burn;

	jin_value(&in, o, parent->d);
	jin_u64(&in, "number", NUMBER_MAX, &r->dn);
	jin_str(&in, "serial", r->serial, sizeof(r->serial));
	jin_str(&in, "target", r->target, sizeof(r->target));
	jin_opt_str(&in, "pushed", r->pushed, sizeof(r->pushed));
	if (in.err == ERR_OK && json_object_get(in.o, "burn") != NULL) {
		jin_object(&in, "burn", &burn);
		wire_ticket_burn_read(&burn, &r->burn);
		jin_close(&in, &burn);
		r->burned = 1;
	}
	jin_close(parent, &in);
}

static enum err
decode(struct ticket_book *b, const struct buf *text, struct detail *d)
{
	ticket_id_t id = "";
	struct jin in;
	size_t i, n;
	json_t *a;
	enum err e;

	jin_open(&in, text->p, text->len, d);
	jin_str(&in, "ticket", id, sizeof(id));
	if (in.err == ERR_OK && strcmp(id, b->id) != 0)
		jin_fail(&in, ERR_RECORD, "it is of another ticket");
	a = jin_array(&in, "rows", TICKET_UNITS_MAX, &n);
	for (i = 0; in.err == ERR_OK && i < n; i++)
		read_row(&in, json_array_get(a, i), &b->rows[i]);
	e = jin_done(&in);
	if (e == ERR_OK)
		b->n = n;
	return e == ERR_OK || e == ERR_NOMEM ? e : ERR_RECORD;
}

static enum err
take_lock(struct ticket_book *b)
{
	const struct timespec pause = {0, 20 * 1000 * 1000};
	char path[sizeof(b->path) + 8];
	int64_t until;

	(void)snprintf(path, sizeof(path), "%s.lock", b->path);
	b->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->lock < 0)
		return ERR_IO;
	until = clock_mono_ms(&clock_system) + BOOK_WAIT_S * INT64_C(1000);
	while (flock(b->lock, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return ERR_IO;
		if (clock_mono_ms(&clock_system) >= until)
			return ERR_BUSY;
		(void)nanosleep(&pause, NULL);
	}
	return ERR_OK;
}

enum err
ticket_book_open(const char *dir, const char *id, struct ticket_book *b,
		 struct detail *d)
{
	struct buf text = {.max = BOOK_MAX};
	enum err e;
	int n;

	memset(b, 0, sizeof(*b));
	b->lock = -1;
	n = snprintf(b->path, sizeof(b->path), "%s/ticket-%s.book", dir, id);
	if (n < 0 || (size_t)n >= sizeof(b->path) || !name_is_ticket(id))
		return ERR_TOO_LARGE;
	memcpy(b->id, id, sizeof(b->id));
	b->rows = calloc(TICKET_UNITS_MAX, sizeof(*b->rows));
	e = b->rows == NULL ? ERR_NOMEM : dir_make(dir, 0700);
	if (e == ERR_OK)
		e = take_lock(b);
	if (e == ERR_OK)
		e = file_read(b->path, BOOK_MAX, &text);
	if (e == ERR_OK)
		e = decode(b, &text, d);
	else if (e == ERR_NOT_FOUND)
		e = ERR_OK;
	if (e != ERR_OK) {
		detail_set(d, "ticket's book %s: %s", b->path,
			   e == ERR_IO	   ? strerror(errno)
			   : e == ERR_BUSY ? "another run has it"
					   : err_text(e));
		ticket_book_close(b);
	}
	buf_free(&text);
	return e;
}

struct ticket_entry *
ticket_book_serial(struct ticket_book *b, const char *serial)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (strcmp(b->rows[i].serial, serial) == 0)
			return &b->rows[i];
	return NULL;
}

struct ticket_entry *
ticket_book_device(struct ticket_book *b, uint64_t dn)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->rows[i].dn == dn)
			return &b->rows[i];
	return NULL;
}

struct ticket_entry *
ticket_book_add(struct ticket_book *b)
{
	if (b->n >= TICKET_UNITS_MAX)
		return NULL;
	memset(&b->rows[b->n], 0, sizeof(b->rows[0]));
	return &b->rows[b->n++];
}

static json_t *
row_json(const struct ticket_entry *r)
{
	json_t *o = json_pack("{sI ss ss ss}", "number", (json_int_t)r->dn,
			      "serial", r->serial, "target", r->target,
			      "pushed", r->pushed);

	if (o != NULL && r->burned &&
	    json_object_set_new(o, "burn", wire_ticket_burn_json(&r->burn)) !=
		0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

enum err
ticket_book_save(const struct ticket_book *b, struct detail *d)
{
	struct buf text = {.max = BOOK_MAX};
	json_t *a = json_array();
	enum err e = a == NULL ? ERR_NOMEM : ERR_OK;
	size_t i;

	for (i = 0; e == ERR_OK && i < b->n; i++)
		if (json_array_append_new(a, row_json(&b->rows[i])) != 0)
			e = ERR_NOMEM;
	if (e == ERR_OK)
		e = jout(json_pack("{ss sO}", "ticket", b->id, "rows", a),
			 &text);
	json_decref(a);
	if (e == ERR_OK)
		e = file_write_atomic(b->path, 0600, text.p, text.len);
	if (e != ERR_OK)
		detail_set(d, "ticket's book %s cannot be written: %s",
			   b->path, e == ERR_IO ? strerror(errno)
						: err_text(e));
	buf_free(&text);
	return e;
}

void
ticket_book_close(struct ticket_book *b)
{
	if (b->lock >= 0)
		(void)close(b->lock);
	free(b->rows);
	memset(b, 0, sizeof(*b));
	b->lock = -1;
}
