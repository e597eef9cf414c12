#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "authd/http/request.h"

/* Fills r->reply with the error's document; the body so far is dropped. */
void reply_error(struct req *r, enum err e);
/* Queues r->reply, counts it and writes the request's log line. */
enum MHD_Result reply_send(struct req *r);

#endif
