#include "lib/model/ticket.h"

#include <stdlib.h>
#include <string.h>

void
ticket_free(struct ticket *t)
{
	free(t->units);
	memset(t, 0, sizeof(*t));
}
