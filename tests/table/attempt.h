#ifndef TESTS_TABLE_ATTEMPT_H
#define TESTS_TABLE_ATTEMPT_H

#include "tests/crash/station.h"
#include "tests/helpers/serial_wire.h"

/*
 * A unit burned by the command as it is given, in a world with all kinds of
 * targets: a folder, images, a tool, a board on a serial line; and what must
 * not be lost by it. What fails here fails the test.
 */
struct attempt {
	struct world w;
	struct wire wire; /* the board */
	struct cut *cut;
	char cut_path[ROOM];
	unsigned units;
	/* the command */
	char order[64], serial[32], target[3000];
	char url[ROOM], credential[ROOM];
	const char *full; /* the disk under this folder is, or NULL; */
	unsigned full_at; /* from this of the calls that need room on */
};

/*
 * Orders first (1,000 units SN0000 to SN9999), stations line1 and line2
 * (credentials in the files station and station2), folders burned and
 * journal; image.bin of 8,192 octets FF, image-cut.bin, image.hex and
 * entries.csv, which are cut off; tool {write|read|prove}, whose device
 * DEVICE_ID is in the mood that the file mood-DEVICE_ID says: STEP-fails,
 * -late, -short, -other.
 */
void attempt_open(struct attempt *a);
void attempt_close(struct attempt *a);
/* For the program that the tool proves by: main's, called with --prove. */
int attempt_prove(const char *record_path);

/* The command anew: the next unit of order first, into the folder. */
void attempt_begin(struct attempt *a);
void attempt_next(struct attempt *a); /* another serial number */
/* In text % is the folder burned, ^ the one above, ~ the serial line. */
void attempt_aim(struct attempt *a, const char *text);
/* A new order of these, taken for the command. */
void attempt_order(struct attempt *a, const char *name, const char *quantity,
    const char *stations, const char *min_proof);
/* A file of the world. */
void attempt_put(struct attempt *a, const char *name, const char *text);

/* Runs it: the exit status; what it said is in a->w.r. */
int attempt_burn(struct attempt *a);
/* It must succeed. */
void attempt_well(struct attempt *a, const char *what);

struct holding {
	/* of all orders: places given; identities not void, their serial
	 * numbers, those that are live */
	unsigned issued, rows, serials, active;
	char journal[65536]; /* of the order */
	char files[65536];   /* in the folder, with their hashes */
};
void attempt_stock(struct attempt *a, struct holding *h);

#endif
