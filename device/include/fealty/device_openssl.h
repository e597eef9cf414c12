#ifndef FEALTY_DEVICE_OPENSSL_H
#define FEALTY_DEVICE_OPENSSL_H

#include <fealty/device.h>

/* The port of hosts that have OpenSSL 3. It needs a key: none in hardware. */
extern const struct fealty_device_port fealty_device_port_openssl;

#endif
