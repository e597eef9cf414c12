#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

/*
 * One structured line an event, JSON on standard error:
 *   {"t":"2026-11-22T17:34:37.123Z","level":"info","msg":"request", ...}
 * Thread safe: one write(2) a line. A line is at most 2 KiB, longer values
 * are cut. Values are escaped. There is no field type for a secret.
 */
enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };
void log_set(enum log_level least, int fd);

struct log_field {
	const char *name;
	enum { LOG_END, LOG_STR, LOG_INT, LOG_REAL } type;
	const char *s;
	int64_t i;
	double d;
};
#define F_STR(n, v) ((struct log_field){.name = (n), .type = LOG_STR, .s = (v)})
#define F_INT(n, v) \
	((struct log_field){.name = (n), .type = LOG_INT, .i = (int64_t)(v)})
#define F_REAL(n, v) \
	((struct log_field){.name = (n), .type = LOG_REAL, .d = (v)})

/* fields ends with LOG_LAST. */
void log_event(enum log_level level, const char *msg,
    const struct log_field *fields);
/* The same from arguments: each a struct log_field, the last LOG_LAST. */
void log_eventv(enum log_level level, const char *msg, ...);
#define LOG_LAST ((struct log_field){.type = LOG_END})
/*
 * log_line(level, msg, field...):
 *   log_line(LOG_INFO_, "started", F_INT("port", 1), F_STR("dir", d));
 */
#define log_line(...) log_eventv(__VA_ARGS__, LOG_LAST)

#endif
