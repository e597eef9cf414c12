/*
 * The door: who comes in, to which event loop, and who waits outside. The
 * loops are libmicrohttpd's own.
 */
#include <sys/socket.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "authd/http/door.h"
#include "tests/unit/unit.h"

#define LOOPS 4
#define CLIENTS 40
#define DEADLINE_MS 20000

static struct door *door;
static struct MHD_Daemon *daemons[LOOPS];
static uint32_t numbers[LOOPS], nloops;
static atomic_int begun[LOOPS], over[LOOPS];
static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER; /* of loop 0 */
static int clients[CLIENTS];
static uint16_t port;

/* Time stands still: no loop is late because the machine is busy. */
static atomic_llong now_ms = 1000000;

static int64_t
turned(const struct clock *c)
{
	return atomic_load(&now_ms);
}

static const struct clock hand = {turned, turned};

static void
on_connection(void *cls, struct MHD_Connection *mc, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mc,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	uint32_t i = *(const uint32_t *)cls;

	if (i == 0) {
		(void)pthread_mutex_lock(&hold);
		(void)pthread_mutex_unlock(&hold);
	}
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		door_begun(door, i);
		atomic_fetch_add(&begun[i], 1);
	} else {
		door_over(door, i, info->client_addr);
		atomic_fetch_add(&over[i], 1);
	}
}

static enum MHD_Result
no_request(void *cls, struct MHD_Connection *mc, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **con_cls)
{
	return MHD_NO;
}

static int
bind_any(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	port = ntohs(sa.sin_port);
	return fd;
}

static void
begin(uint32_t loops, uint32_t connections, uint32_t per_address)
{
	const struct door_conf conf = {&hand, connections, per_address,
	    loops};
	uint32_t i;

	assert_int_equal(door_new(&conf, &door), ERR_OK);
	for (i = 0; i < loops; i++) {
		numbers[i] = i;
		atomic_store(&begun[i], 0);
		atomic_store(&over[i], 0);
		daemons[i] = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
		    MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC, 0, NULL, NULL,
		    no_request, NULL, MHD_OPTION_CONNECTION_LIMIT,
		    door_loop_limit(&conf), MHD_OPTION_NOTIFY_CONNECTION,
		    on_connection, &numbers[i], MHD_OPTION_END);
		assert_non_null(daemons[i]);
	}
	nloops = loops;
	assert_int_equal(door_open(door, bind_any(), daemons), ERR_OK);
	for (i = 0; i < CLIENTS; i++)
		clients[i] = -1;
}

static int
teardown(void **state)
{
	int i;

	if (door == NULL)
		return 0;
	door_close(door);
	while (nloops > 0)
		MHD_stop_daemon(daemons[--nloops]);
	door_free(&door);
	for (i = 0; i < CLIENTS; i++)
		if (clients[i] >= 0)
			(void)close(clients[i]);
	return 0;
}

static int
try_connect(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
connect_all(int from, int to)
{
	for (; from < to; from++) {
		clients[from] = try_connect();
		assert_true(clients[from] >= 0);
	}
}

static void
leave(int i)
{
	(void)close(clients[i]);
	clients[i] = -1;
}

static int
sum(atomic_int *of)
{
	uint32_t i;
	int n = 0;

	for (i = 0; i < nloops; i++)
		n += atomic_load(&of[i]);
	return n;
}

static void
nap(void)
{
	const struct timespec ts = {0, 2000000};

	(void)nanosleep(&ts, NULL);
}

static void
until(atomic_int *of, int n)
{
	int i;

	for (i = 0; sum(of) < n && i < DEADLINE_MS / 2; i++)
		nap();
	assert_int_equal(sum(of), n);
}

/* 1 if the server closes fd. */
static int
is_closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&p, 1, DEADLINE_MS) == 1 && recv(fd, &c, 1, 0) <= 0;
}

static void
connections_are_spread_evenly_over_the_loops(void **state)
{
	uint32_t i;

	begin(LOOPS, 1000, 0);
	connect_all(0, CLIENTS);
	until(begun, CLIENTS);
	for (i = 0; i < LOOPS; i++)
		assert_int_equal(atomic_load(&begun[i]), CLIENTS / LOOPS);
}

/* Those of one loop leave; it gets all newcomers until it is even. */
static void
the_loop_with_fewest_connections_gets_the_next(void **state)
{
	int before, i;

	begin(2, 1000, 0);
	for (i = 0; i < 20; i++) {
		connect_all(i, i + 1);
		until(begun, i + 1);
	}
	before = atomic_load(&begun[0]);
	assert_int_equal(before, 10);
	for (i = 0; i < 20; i += 2)
		leave(i);
	until(over, 10);
	assert_true(atomic_load(&over[0]) == 10 || atomic_load(&over[1]) == 10);
	i = atomic_load(&over[0]) == 10 ? 0 : 1;
	connect_all(20, 30);
	until(begun, 30);
	assert_int_equal(atomic_load(&begun[i]), 20);
}

/* As when a handshake waits for the database. */
static void
a_loop_that_waits_for_something_holds_up_one_connection_only(void **state)
{
	int i;

	begin(2, 1000, 0);
	(void)pthread_mutex_lock(&hold);
	connect_all(0, 2); /* one of them meets loop 0 */
	until(begun, 1);
	atomic_fetch_add(&now_ms, 1000);
	connect_all(2, 30);
	for (i = 0; sum(begun) < 29 && i < DEADLINE_MS / 2; i++)
		nap();
	(void)pthread_mutex_unlock(&hold);
	assert_int_equal(atomic_load(&begun[1]), 29);
	until(begun, 30);
}

static void
who_is_over_the_limit_waits_until_another_leaves(void **state)
{
	int i;

	begin(2, 16, 0);
	connect_all(0, 20); /* four in the backlog */
	until(begun, 16);
	for (i = 0; i < 20; i++)
		nap();
	assert_int_equal(sum(begun), 16);
	for (i = 0; i < 4; i++)
		leave(i);
	until(begun, 20);
	until(over, 4);
}

static void
who_has_as_many_as_one_address_may_is_closed(void **state)
{
	begin(2, 1000, 5);
	connect_all(0, 5);
	until(begun, 5);
	connect_all(5, 6);
	assert_true(is_closed(clients[5]));
	leave(0);
	until(over, 1);
	connect_all(6, 7);
	until(begun, 6);
	connect_all(7, 8);
	assert_true(is_closed(clients[7]));
	assert_int_equal(sum(begun), 6);
}

static void
many_come_and_go_at_the_limit_and_none_is_lost(void **state)
{
	int i, n = 0;

	begin(LOOPS, 8, 0);
	for (i = 0; i < 2000; i++) {
		if (clients[i % CLIENTS] >= 0) {
			leave(i % CLIENTS);
			n++;
		}
		connect_all(i % CLIENTS, i % CLIENTS + 1);
	}
	for (i = 0; i < CLIENTS; i++)
		leave(i);
	until(over, 2000);
	assert_int_equal(sum(begun), 2000);
}

static void
a_closed_door_refuses_and_keeps_who_is_in(void **state)
{
	begin(2, 1000, 0);
	connect_all(0, 4);
	until(begun, 4);
	door_close(door);
	assert_int_equal(try_connect(), -1);
	door_close(door);
	assert_int_equal(sum(over), 0);
}

static void
a_network_of_ipv6_counts_as_one_address(void **state)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6,
	    .sin6_addr = {{{0x20, 1, 13, 0xb8, 0, 0, 0, 1}}}}, b = a, c = a;
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr_storage other = {.ss_family = AF_UNIX};

	b.sin6_addr.s6_addr[15] = 9;
	c.sin6_addr.s6_addr[7] = 2;
	assert_true(door_address((struct sockaddr *)&a) ==
	    door_address((struct sockaddr *)&b));
	assert_true(door_address((struct sockaddr *)&a) !=
	    door_address((struct sockaddr *)&c));
	assert_true(door_address((struct sockaddr *)&four) != 0);
	assert_true(door_address((struct sockaddr *)&other) == 0);
	assert_true(door_address(NULL) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(
		connections_are_spread_evenly_over_the_loops, teardown),
	    cmocka_unit_test_teardown(
		the_loop_with_fewest_connections_gets_the_next, teardown),
	    cmocka_unit_test_teardown(
		a_loop_that_waits_for_something_holds_up_one_connection_only,
		teardown),
	    cmocka_unit_test_teardown(
		who_is_over_the_limit_waits_until_another_leaves, teardown),
	    cmocka_unit_test_teardown(
		who_has_as_many_as_one_address_may_is_closed, teardown),
	    cmocka_unit_test_teardown(
		many_come_and_go_at_the_limit_and_none_is_lost, teardown),
	    cmocka_unit_test_teardown(
		a_closed_door_refuses_and_keeps_who_is_in, teardown),
	    cmocka_unit_test(a_network_of_ipv6_counts_as_one_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
