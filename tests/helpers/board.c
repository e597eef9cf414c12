#include "tests/helpers/board.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tests/helpers/process.h"

#define PSRAM_BASE 0x21000000u
#define PSRAM_SIZE (16 << 20)
#define START_SECONDS 60

struct board {
	char psram[200], uart[100], gdb[100], log[200], tty[64];
	pid_t qemu;
	int master, slave; /* the tty; slave is held open */
	pthread_mutex_t lock;
	int socket;	/* QEMU's end of the UART; -1 without power */
	unsigned turns; /* of the power: a number of a socket comes again */
	int debug;
	unsigned left; /* touches to come */
	int wake[2];
	pthread_t relay;
};

const char *
board_tty(const struct board *b)
{
	return b->tty;
}

/* Octets from one to the other; what nobody takes is lost. */
static ssize_t
pass(int from, int to)
{
	char part[512];
	ssize_t n = read(from, part, sizeof(part)), i, k;

	for (i = 0; i < n && to >= 0; i += k) {
		k = write(to, part + i, (size_t)(n - i));
		if (k <= 0)
			break;
	}
	return n;
}

static void
plug(struct board *b, int fd)
{
	(void)pthread_mutex_lock(&b->lock);
	if (b->socket >= 0)
		(void)close(b->socket);
	b->socket = fd;
	b->turns++;
	(void)pthread_mutex_unlock(&b->lock);
	(void)!write(b->wake[1], "n", 1);
}

/* One look at the three, the wire to this thread not counted. */
static void
carry(struct board *b, const struct pollfd p[3], unsigned turns)
{
	(void)pthread_mutex_lock(&b->lock);
	if (p[1].revents != 0)
		(void)pass(b->master, b->socket);
	/* gone: until the power is back */
	if (turns == b->turns && p[2].revents != 0 &&
	    pass(b->socket, b->master) <= 0) {
		(void)close(b->socket);
		b->socket = -1;
	}
	(void)pthread_mutex_unlock(&b->lock);
}

static void *
relay(void *arg)
{
	struct board *b = arg;
	struct pollfd p[3];
	unsigned turns;
	char what = 'n';

	do {
		(void)pthread_mutex_lock(&b->lock);
		p[0] = (struct pollfd){b->wake[0], POLLIN, 0};
		p[1] = (struct pollfd){b->master, POLLIN, 0};
		p[2] = (struct pollfd){b->socket, POLLIN, 0};
		turns = b->turns;
		(void)pthread_mutex_unlock(&b->lock);
		(void)poll(p, 3, -1);
		if (p[0].revents != 0)
			(void)!read(b->wake[0], &what, 1);
		else
			carry(b, p, turns);
	} while (what != 'q');
	return NULL;
}

static int
open_tty(struct board *b)
{
	struct termios t;

	b->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (b->master < 0 || grantpt(b->master) != 0 ||
	    unlockpt(b->master) != 0 ||
	    ptsname_r(b->master, b->tty, sizeof(b->tty)) != 0)
		return -1;
	b->slave = open(b->tty, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (b->slave < 0 || tcgetattr(b->slave, &t) != 0)
		return -1;
	cfmakeraw(&t);
	return tcsetattr(b->slave, TCSANOW, &t);
}

static int
make_psram(const struct board *b, const char *serial)
{
	int fd = open(b->psram, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc = -1;

	if (fd < 0)
		return rc;
	if (ftruncate(fd, PSRAM_SIZE) == 0 &&
	    pwrite(fd, serial, strlen(serial), BOARD_SERIAL) ==
		(ssize_t)strlen(serial))
		rc = 0;
	(void)close(fd);
	return rc;
}

struct board *
board_new(const char *dir, const char *serial)
{
	struct board *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->master = b->slave = b->debug = b->socket = -1;
	(void)pthread_mutex_init(&b->lock, NULL);
	(void)snprintf(b->psram, sizeof(b->psram), "%.90s/%.60s.psram", dir,
	    serial);
	(void)snprintf(b->log, sizeof(b->log), "%.90s/qemu.log", dir);
	(void)snprintf(b->uart, sizeof(b->uart), "%.70s/%.20s.u", dir,
	    serial);
	(void)snprintf(b->gdb, sizeof(b->gdb), "%.70s/%.20s.g", dir, serial);
	if (make_psram(b, serial) != 0 || open_tty(b) != 0 ||
	    pipe2(b->wake, O_CLOEXEC) != 0 ||
	    pthread_create(&b->relay, NULL, relay, b) != 0 ||
	    board_power_on(b) != 0) {
		fprintf(stderr, "# no board: %s\n", strerror(errno));
		return NULL; /* the test ends here */
	}
	return b;
}

static int
dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	long deadline = process_deadline(START_SECONDS);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
	while (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		if (!process_left(deadline)) {
			(void)close(fd);
			return -1;
		}
		process_pause();
	}
	return fd;
}

int
board_power_on(struct board *b)
{
	char psram[300], uart[200], gdb[200];
	const char *argv[] = {"qemu-system-arm", "-M",
	    "mps2-an385,memory-backend=psram", "-object", psram, "-kernel",
	    FIRMWARE, "-display", "none", "-monitor", "none", "-chardev", uart,
	    "-serial", "chardev:u", "-chardev", gdb, "-gdb", "chardev:g",
	    NULL};
	int fd;

	(void)snprintf(psram, sizeof(psram), "memory-backend-file,id=psram,"
	    "size=16M,share=on,mem-path=%s", b->psram);
	(void)snprintf(uart, sizeof(uart),
	    "socket,id=u,server=on,wait=on,path=%s", b->uart);
	(void)snprintf(gdb, sizeof(gdb),
	    "socket,id=g,server=on,wait=off,path=%s", b->gdb);
	(void)unlink(b->uart);
	(void)unlink(b->gdb);
	b->qemu = process_start(argv, b->log, b->log);
	if (b->qemu <= 0 || (fd = dial(b->uart)) < 0)
		return -1;
	plug(b, fd);
	return 0;
}

void
board_power_off(struct board *b)
{
	(void)process_stop(&b->qemu, SIGKILL);
	plug(b, -1);
	if (b->debug >= 0)
		(void)close(b->debug);
	b->debug = -1;
}

/* A packet of GDB's remote protocol, and the acknowledgement before it. */
static int
tell(struct board *b, const char *text)
{
	char packet[100];
	unsigned sum = 0;
	const char *p;
	int n;

	for (p = text; *p != '\0'; p++)
		sum += (unsigned char)*p;
	n = snprintf(packet, sizeof(packet), "+$%s#%02x", text, sum & 0xff);
	return write(b->debug, packet, (size_t)n) == n ? 0 : -1;
}

/* The next packet's first character; 0 when there is none in time. */
static char
hear(struct board *b, unsigned seconds)
{
	struct pollfd p = {b->debug, POLLIN, 0};
	char c = 0, first = 0;

	while (poll(&p, 1, (int)seconds * 1000) > 0 &&
	    read(b->debug, &c, 1) == 1) {
		if (c == '$') {
			if (read(b->debug, &first, 1) != 1)
				return 0;
		} else if (c == '#' && first != 0) {
			/* two digits of its sum */
			return read(b->debug, &c, 1) == 1 &&
				read(b->debug, &c, 1) == 1 ? first : 0;
		}
	}
	return 0;
}

int
board_cut_begin(struct board *b, uint32_t at, unsigned n)
{
	char watch[40], c;

	b->debug = dial(b->gdb);
	b->left = n;
	(void)snprintf(watch, sizeof(watch), "Z2,%x,1", PSRAM_BASE + at);
	if (b->debug < 0 || tell(b, watch) != 0)
		return -1;
	/* before the OK it says, once or twice, that it has stopped */
	while ((c = hear(b, 10)) == 'T')
		;
	return c == 'O' ? tell(b, "c") : -1;
}

int
board_cut_wait(struct board *b, unsigned seconds)
{
	while (b->left > 0 && hear(b, seconds) == 'T') {
		b->left--;
		if (b->left > 0 && tell(b, "c") != 0)
			break;
	}
	board_power_off(b);
	return b->left == 0;
}

int
board_psram(const struct board *b, uint32_t at, void *out, size_t len)
{
	int fd = open(b->psram, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = pread(fd, out, len, at);
	(void)close(fd);
	return n == (ssize_t)len ? 0 : -1;
}

void
board_free(struct board **pb)
{
	struct board *b = *pb;

	if (b == NULL)
		return;
	board_power_off(b);
	(void)!write(b->wake[1], "q", 1);
	(void)pthread_join(b->relay, NULL);
	(void)pthread_mutex_destroy(&b->lock);
	(void)close(b->wake[0]);
	(void)close(b->wake[1]);
	(void)close(b->master);
	(void)close(b->slave);
	(void)unlink(b->psram);
	free(b);
	*pb = NULL;
}
