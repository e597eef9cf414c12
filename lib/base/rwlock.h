#ifndef BASE_RWLOCK_H
#define BASE_RWLOCK_H

#include <pthread.h>

#include "lib/base/err.h"

/*
 * A lock whose writer does not wait for readers that come after him: by
 * default a stream of requests would hold up a revocation for as long as it
 * lasts. No thread may hold it twice. ERR_NOMEM.
 */
enum err rwlock_init(pthread_rwlock_t *lock) MUST_CHECK;

#endif
