#include "lib/base/rwlock.h"

enum err
rwlock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int bad;

	if (pthread_rwlockattr_init(&attr) != 0)
		return ERR_NOMEM;
	bad = pthread_rwlockattr_setkind_np(&attr,
	    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	if (bad == 0)
		bad = pthread_rwlock_init(lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
	return bad == 0 ? ERR_OK : ERR_NOMEM;
}
