#ifndef PROVISION_JOURNAL_H
#define PROVISION_JOURNAL_H

#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/model/names.h"

/*
 * What a station did with each unit, so that a command cut off anywhere can
 * go on where it stopped. One append-only file per order, mode 0600, one
 * JSON line a step:
 *   {"t":TIME,"order":…,"serial":…,"target":…,"step":…,"device_id":…,
 *    "epoch":N,"number":N,"challenge":octets}
 * ("challenge" from the release on). No key is ever in it. A line torn by a
 * crash is passed over. Several processes may append to one file, and the
 * threads of one process may share a journal.
 */
#define JOURNAL_TARGET_MAX 1023
#define JOURNAL_STEP_MAX 15

struct journal_entry {
	name_t order;
	name_t serial;
	char target[JOURNAL_TARGET_MAX + 1];
	char step[JOURNAL_STEP_MAX + 1]; /* the one that is done */
	name_t device_id;
	uint32_t epoch;
	uint64_t dn; /* 0: not known */
	int has_challenge;
	unsigned char challenge[CHALLENGE_LEN];
};

struct journal;
/* Opens or makes DIR/ORDER.jsonl. ERR_IO with d. */
enum err journal_open(const char *dir, const char *order, struct journal **out,
		      struct detail *d) MUST_CHECK;
/*
 * Claims the unit for this process until the journal is closed: ERR_CONFLICT
 * while another one burns it. The threads of one process keep their units
 * apart themselves.
 */
enum err journal_claim(struct journal *j, const char *serial) MUST_CHECK;
void journal_unclaim(struct journal *j, const char *serial);
/*
 * From now on journal_last reads only what is new in the file; worth it for
 * many units. Before threads share the journal. What an earlier run left is on
 * the disk then: units are passed over on its word, and it may have ended
 * before its fsync. ERR_IO with errno.
 */
enum err journal_index(struct journal *j) MUST_CHECK;
/* The newest entry of that unit; ERR_NOT_FOUND, ERR_IO. */
enum err journal_last(struct journal *j, const char *serial,
		      struct journal_entry *out) MUST_CHECK;
/*
 * Appends, and returns when the disk has it; lines of several threads share
 * one fsync. ERR_IO with errno, for all of them; once an fsync has failed,
 * for whatever comes after it, too.
 */
enum err journal_append(struct journal *j,
			const struct journal_entry *e) MUST_CHECK;
/*
 * Behind the lines that are there already, to be appended together; nothing
 * is on the disk before journal_commit, which empties lines in any case.
 * Free with buf_free. No more than JOURNAL_NOTES_MAX.
 */
#define JOURNAL_NOTES_MAX 16
enum err journal_note(const struct journal_entry *e,
		      struct buf *lines) MUST_CHECK;
enum err journal_commit(struct journal *j, struct buf *lines) MUST_CHECK;
void journal_close(struct journal **j);

#endif
