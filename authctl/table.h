#ifndef AUTHCTL_TABLE_H
#define AUTHCTL_TABLE_H

#include "lib/wire/wire.h"
#include <stddef.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* A column: its title and the member of the row that it shows. */
struct column {
	const char *title;
	const char *member;
};

/*
 * The rows (array of objects) as an aligned table on standard output. What
 * comes from the network is shown with control characters replaced. Colour
 * only on a terminal. 0, or -1 without memory.
 */
int table_print(const struct column *cols, size_t ncols, const json_t *rows);
/* One object, a line a column. */
int table_object(const struct column *cols, size_t ncols, const json_t *row);

#endif
