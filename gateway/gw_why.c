#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"

/*
 * An event says that a device is blocked, not whether it is suspended or
 * revoked, and names it by number. This small table, for logs and answers
 * only, remembers what the authority said of those this gateway served. Its
 * places are reused; what is forgotten is told in general terms.
 */
#define WHY_PLACES 1024

struct place {
	uint64_t dn;
	uint64_t event;
	enum err err; /* ERR_OK: only the name is known */
	name_t device_id;
};
struct gw_why {
	pthread_mutex_t lock;
	struct place p[WHY_PLACES];
};

enum err
gw_why_new(struct gw_why **out)
{
	struct gw_why *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&w->lock, NULL);
	*out = w;
	return (ERR_OK);
}

void
gw_why_free(struct gw_why **w)
{
	if (*w == NULL)
		return;
	pthread_mutex_destroy(&(*w)->lock);
	free(*w);
	*w = NULL;
}

void
gw_why_put(struct gw_why *w, uint64_t dn, uint64_t event,
    const char *device_id, enum err err)
{
	struct place *p = &w->p[dn % WHY_PLACES];

	pthread_mutex_lock(&w->lock);
	if (p->dn != dn)
		memset(p, 0, sizeof(*p));
	p->dn = dn;
	if (p->event != event || err != ERR_OK)
		p->err = err;
	p->event = event;
	if (device_id[0] != '\0')
		memcpy(p->device_id, device_id,
		    strnlen(device_id, NAME_MAX_LEN) + 1);
	p->device_id[NAME_MAX_LEN] = '\0';
	pthread_mutex_unlock(&w->lock);
}

enum err
gw_why_get(struct gw_why *w, uint64_t dn, uint64_t event, enum err e,
    name_t device_id)
{
	struct place *p = &w->p[dn % WHY_PLACES];

	device_id[0] = '\0';
	pthread_mutex_lock(&w->lock);
	if (p->dn == dn && dn != 0) {
		memcpy(device_id, p->device_id, sizeof(name_t));
		if (e == ERR_DEVICE_BLOCKED && p->event == event &&
		    p->err != ERR_OK)
			e = p->err;
	}
	pthread_mutex_unlock(&w->lock);
	return (e);
}
