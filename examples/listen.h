#ifndef EXAMPLES_LISTEN_H
#define EXAMPLES_LISTEN_H

/* A listening socket at "host:port" or "[v6]:port", or -1. */
int listen_on(const char *where);
/* Prints "listening host:port" as it came to be. */
void print_address(int fd);

#endif
