#ifndef TESTS_REPLICA_H
#define TESTS_REPLICA_H

#include <sys/types.h>

/*
 * A second PostgreSQL that follows an authd's private one by streaming, in a
 * new folder under /tmp (its user has to reach it). It dies with the test.
 */
struct replica {
	char dir[64];	 /* of the cluster and its socket */
	char socket[80]; /* folder of the socket; port 5432 */
	uid_t uid;
	gid_t gid;
	pid_t pid;
};
/*
 * From the primary whose cluster is in db and whose socket is in the folder
 * socket: a copy, started, streaming. 0, or -1 with what failed on stderr.
 */
int replica_start(const char *db, const char *socket, struct replica *out);
/* One statement of the superuser on the server behind socket; 0 done. */
int replica_sql(const char *socket, const char *sql);
/* Ends it and removes its folder; nothing if it never ran. */
void replica_stop(struct replica *r);

#endif
