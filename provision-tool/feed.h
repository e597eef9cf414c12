#ifndef PROVISION_FEED_H
#define PROVISION_FEED_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/model/names.h"

/*
 * The serial numbers of a line, one a line of a file or of a scanner on
 * standard input: "SERIAL" or "SERIAL SLOT". A carriage return ends a line
 * too; empty ones and those that begin with '#' do not count.
 */
struct feed;
struct unit {
	name_t serial; /* as scanned; what cannot be printed is '?' */
	unsigned slot; /* 0: any */
	const char *fault; /* why it cannot be burned, or NULL */
};

/* A unit of what was scanned: its serial number and, if so, its fault. */
void unit_take(const char *s, size_t len, struct unit *out);

/* path "-": standard input. ERR_IO with d. */
enum err feed_open(const char *path, struct feed **out,
		   struct detail *d) MUST_CHECK;
void feed_close(struct feed **f);
/* To wait on until it can be read. */
int feed_fd(const struct feed *f);
/* How many units the file has, before the first is taken; 0: nobody knows. */
uint64_t feed_count(const struct feed *f);
/* Takes what is there now; may wait when feed_fd cannot be read. ERR_IO with
 * errno. */
enum err feed_fill(struct feed *f) MUST_CHECK;
/* The next unit: 1, or 0 when feed_fill has to be called first. */
int feed_next(struct feed *f, struct unit *out);
/* Nothing more will come. */
int feed_over(const struct feed *f);

#endif
