#ifndef TESTS_CRASH_CUT_H
#define TESTS_CRASH_CUT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * What a test and the program it cuts off share: a file, mapped by both,
 * named by CUT_ENV. cutfs.so, preloaded into the program, counts its calls
 * and does at one of them what the test has asked for. Nothing of it is in
 * the program itself.
 *
 * Files below root are on a "disk" of which a power cut keeps only what was
 * synced. The folder hold, beside root, knows what that is (disk.h):
 *   INO          a link to every file there ever was, so that no number is
 *                given twice and what was unlinked is not lost
 *   INO.synced   its octets at its last fsync
 *   INO.names    of a folder: its entries at its last fsync, a line each,
 *                "INO f|d NAME"
 */
#define CUT_ENV "FEALTY_TEST_CUT"
#define CUT_PATH 512

enum cut_action {
	CUT_NOTHING, /* count only */
	CUT_KILL,    /* SIGKILL before the call */
	CUT_TEAR,    /* a write gets octets through, then SIGKILL */
	CUT_FULL,    /* ENOSPC, this one and all that follow */
	CUT_FAIL,    /* EIO, this one only */
	CUT_PAUSE,   /* waits before the call until state is CUT_GO */
};

/* Which calls count. */
#define CUT_FILE 1u  /* all that change a file or sync it, below root */
#define CUT_SPACE 2u /* of these, those that need room on the disk */
#define CUT_SOCKET 4u /* before and after a send, before a receive */

enum { CUT_RUNS, CUT_PAUSED, CUT_GO };

struct cut {
	char program[32]; /* whom this is for; others are left alone */
	char root[CUT_PATH], hold[CUT_PATH];
	char lie[32]; /* fsync does nothing where the path has this in it */
	int64_t clock_s; /* added to the wall clock */
	uint32_t action, at, scope; /* at: from 1; 0 never */
	uint32_t octets;
	atomic_uint calls; /* that counted, so far */
	atomic_uint hit;   /* 1: at was reached */
	atomic_uint state; /* of CUT_PAUSE */
	char what[64];	   /* the call that was hit */
};

#endif
