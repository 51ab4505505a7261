/*
 * The console, as programs see it: descriptors 0, 1 and 2 of the first program, /dev/console and /dev/tty.
 *
 * Two ways to be. A terminal (tty=1): kernel/line.c edits, echoes and finds the keys that send signals. Straight through
 * (tty=0): what scripts/corral asks for when its own input is no terminal: bytes and their end as they come, isatty() is
 * ENOTTY. Output is not translated here: in plain mode the console driver turns "\n" into "\r\n", and when it is framed
 * the host's own terminal does.
 *
 * Locks: tty.lock (RANK_FILE) guards everything but the channels. Bytes come from the driver only as fast as there is room, by the
 * readable callback and after each read; so nothing is lost as long as the driver's line has flow control. Signals are
 * sent after the lock has been let go of. Writers wait for the driver's writable callback: they prepare to wait, try the
 * ring once more, and block; the callback wakes them after the ring has room (kernel/wait.h has the argument).
 */
#include "kernel/tty.h"

#include <string.h>

#include "drivers/console.h"
#include "firmware/boot.h"
#include "firmware/trap.h"
#include "kernel/line.h"
#include "kernel/process.h"
#include "kernel/touch.h"
#include "kernel/tree.h"
#include "kernel/tty_jobs.h"
#include "lib/errno.h"
#include "mm/space.h"

#define CHUNK	     256U
#define TYPED	     64U
#define NS_PER_TENTH UINT64_C(100000000)

struct winsize {
	uint16_t rows, columns, x, y;
};

static struct {
	struct spinlock lock;
	struct line line;
	bool terminal;			  /* written once */
	bool ended;			  /* the line's other end has said so */
	struct winsize window;		  /* as a program has set it, or the console said, whichever was last */
	unsigned seen_rows, seen_columns; /* as the console last said */
	struct wait_queue readers;
	struct wait_queue writers;
} tty;

/* file->data of an open file that writes to CONSOLE_ERR. */
static char tty_err_channel;

/* Typed characters come back on the channel of standard output; when its ring is full, echo is what can be missed. */
static void tty_echo(void *ctx, const char *bytes, size_t n)
{
	(void)ctx;
	(void)console_write(CONSOLE_OUT, bytes, n);
}

static uint64_t tty_take_locked(const uint8_t *bytes, size_t n)
{
	uint64_t signals = 0;

	for (size_t i = 0; i < n; i++) {
		int signal = line_type(&tty.line, bytes[i]);

		if (signal != 0)
			signals |= SIG_BIT(signal);
	}
	return signals;
}

/* The window as the line's other end last gave it takes the place of what a program has set. The signal for it. */
static uint64_t tty_resize_locked(void)
{
	unsigned rows = 0, columns = 0;

	console_window(&rows, &columns);
	if (rows == tty.seen_rows && columns == tty.seen_columns)
		return 0;
	tty.seen_rows = rows;
	tty.seen_columns = columns;
	tty.window = (struct winsize){ .rows = (uint16_t)rows, .columns = (uint16_t)columns };
	return SIG_BIT(SIGWINCH);
}

/* Moves what the driver has, as far as there is room, for whoever waits for it. The signals that it meant. */
static uint64_t tty_pull_locked(void)
{
	uint64_t signals = 0;
	uint8_t bytes[TYPED];
	size_t n = 1;

	while (n != 0 && line_room(&tty.line) != 0 && !tty.ended) {
		unsigned flags = 0;

		n = console_read(bytes, MIN(line_room(&tty.line), TYPED), &flags);
		signals |= tty_take_locked(bytes, n);
		tty.ended = (flags & CONSOLE_EOF) != 0;
		if (n != 0 || tty.ended)
			wake_all(&tty.readers);
	}
	return signals | tty_resize_locked();
}

static void tty_readable(void)
{
	uint64_t signals;

	spin_lock(&tty.lock, RANK_FILE);
	signals = tty_pull_locked();
	spin_unlock(&tty.lock, RANK_FILE);
	tty_jobs_signal(signals);
	wake_all(&tty.readers);
}

static void tty_writable(void)
{
	wake_all(&tty.writers);
}

/* ---- Reading */

/* How many bytes are enough for a read to return, and how long to wait for more of them. */
static uint32_t tty_enough_locked(uint64_t want, uint64_t *pause_ns)
{
	const struct termios *termios = &tty.line.termios;

	*pause_ns = 0;
	if (!tty.terminal || (termios->lflag & ICANON) != 0)
		return 1;
	*pause_ns = termios->cc[VTIME] * NS_PER_TENTH;
	return (uint32_t)MIN(want, termios->cc[VMIN]);
}

/* The copy is made under the lock, so that two readers take turns and a fault loses nothing. */
static int64_t tty_deliver_locked(struct io *io)
{
	uint64_t done = 0;
	char bytes[CHUNK];
	bool eof = false;

	io->error = 0;
	touch_forbid();
	for (;;) {
		uint32_t ready = line_ready(&tty.line, &eof);
		uint32_t used;
		uint32_t n = line_peek(&tty.line, bytes, (uint32_t)MIN(MIN(io->left, CHUNK), ready), &used);
		uint64_t put = io_put(io, bytes, n);

		if (put < n)
			used = (uint32_t)put;
		line_consume(&tty.line, used);
		done += put;
		if (put < n || n == 0 || io->left == 0 || n == ready)
			break;
	}
	touch_allow();
	return io_result(io, done);
}

/* What a read waits for. A pause (VTIME) begins with each byte that comes, or at once where VMIN is 0. */
struct tty_wait {
	uint64_t deadline_ns;
	uint32_t ready; /* bytes there were at the last look */
};

/* Whether a read is to return now. */
static bool tty_look_locked(struct tty_wait *wait, uint64_t want)
{
	uint64_t pause_ns;
	uint32_t enough = tty_enough_locked(want, &pause_ns);
	bool eof;
	uint32_t ready = line_ready(&tty.line, &eof);

	if (eof || tty.ended || (ready >= enough && (ready != 0 || pause_ns == 0)))
		return true;
	if (pause_ns != 0 && (ready != wait->ready || (enough == 0 && wait->deadline_ns == WAIT_FOREVER)))
		wait->deadline_ns = time_ns() + pause_ns;
	wait->ready = ready;
	return false;
}

static bool tty_try_read(struct tty_wait *wait, struct io *io, bool time_is_up, int64_t *result)
{
	uint64_t signals;
	bool ready;

	spin_lock(&tty.lock, RANK_FILE);
	signals = tty_pull_locked();
	ready = tty_look_locked(wait, io->left) || time_is_up;
	if (ready) {
		*result = tty_deliver_locked(io);
		signals |= tty_pull_locked();
	}
	spin_unlock(&tty.lock, RANK_FILE);
	tty_jobs_signal(signals);
	return ready && *result != -EWANTED;
}

static int tty_wait_readable(struct file *file, struct io *io, int64_t *result)
{
	struct tty_wait wait = { .deadline_ns = WAIT_FOREVER };
	struct waiter waiter = { 0 };
	int error = 0;

	for (;;) {
		wait_prepare(&tty.readers, &waiter);
		if (tty_try_read(&wait, io, error == -ETIMEDOUT, result)) {
			error = 0;
			break;
		}
		error = io_block(io, (file_flags(file) & O_NONBLOCK) != 0, wait.deadline_ns);
		if (error != 0 && error != -ETIMEDOUT)
			break;
	}
	wait_finish(&tty.readers, &waiter);
	return error;
}

static int64_t tty_read(struct file *file, struct io *io, const uint64_t *at)
{
	int64_t result = 0;
	int error;

	(void)at;
	error = tty.terminal ? tty_jobs_check(SIGTTIN) : 0;
	if (error != 0 || io->left == 0)
		return error;
	error = tty_wait_readable(file, io, &result);
	return error != 0 ? error : result;
}

/* ---- Writing */

/* All n bytes into the ring, waiting for room. How many went; *error: why not all. */
static size_t tty_push(struct file *file, enum console_channel channel, const char *bytes, size_t n, int *error)
{
	struct waiter waiter = { 0 };
	size_t done = console_write(channel, bytes, n);

	*error = 0;
	while (done < n) {
		size_t taken;

		wait_prepare(&tty.writers, &waiter);
		taken = console_write(channel, bytes + done, n - done);
		done += taken;
		if (taken != 0)
			continue;
		*error = (file_flags(file) & O_NONBLOCK) != 0 ? -EAGAIN : wait_block(WAIT_FOREVER);
		if (*error != 0)
			break;
	}
	wait_finish(&tty.writers, &waiter);
	return done;
}

static bool tty_stops_output(void)
{
	bool stops;

	spin_lock(&tty.lock, RANK_FILE);
	stops = tty.terminal && (tty.line.termios.lflag & TOSTOP) != 0;
	spin_unlock(&tty.lock, RANK_FILE);
	return stops;
}

static int64_t tty_write(struct file *file, struct io *io, const uint64_t *at)
{
	enum console_channel channel = file->data == &tty_err_channel ? CONSOLE_ERR : CONSOLE_OUT;
	uint64_t done = 0;
	char chunk[CHUNK];
	int error = tty_stops_output() ? tty_jobs_check(SIGTTOU) : 0;

	(void)at;
	if (error != 0)
		return error;
	while (io->left != 0) {
		size_t n = io_take(io, chunk, CHUNK);

		error = io->error;

		if (n != 0) {
			size_t pushed = tty_push(file, channel, chunk, n, &error);

			done += pushed;
			error = error == 0 ? io->error : error;
		}
		if (error != 0)
			return done == 0 ? error : (int64_t)done;
	}
	return (int64_t)done;
}

/* ---- The rest */

static unsigned tty_poll(struct file *file, struct wait_queue **queue)
{
	unsigned events = POLLOUT;
	uint64_t signals;
	bool eof;

	(void)file;
	*queue = &tty.readers;
	spin_lock(&tty.lock, RANK_FILE);
	signals = tty_pull_locked();
	if (line_ready(&tty.line, &eof) != 0 || eof || tty.ended)
		events |= POLLIN;
	if (tty.ended)
		events |= POLLHUP;
	spin_unlock(&tty.lock, RANK_FILE);
	tty_jobs_signal(signals);
	return events;
}

static int tty_stat(struct file *file, struct file_stat *out)
{
	if (file->node != NULL) {
		node_stat(file->node, out);
		return 0;
	}
	*out = (struct file_stat){
		.device = 2, .inode = 1, .mode = S_IFIFO | 0600U, .links = 1, .block_size = PAGE_SIZE
	};
	return 0;
}

static int64_t tty_out(uint64_t argument, const void *from, size_t bytes)
{
	return user_write(current_space(), VADDR(argument), from, bytes);
}

static int64_t tty_get_termios(uint64_t argument)
{
	struct termios termios;

	spin_lock(&tty.lock, RANK_FILE);
	termios = tty.line.termios;
	spin_unlock(&tty.lock, RANK_FILE);
	return tty_out(argument, &termios, sizeof(termios));
}

static int64_t tty_set_termios(uint64_t argument, bool flush)
{
	struct termios termios;
	int error = user_read(current_space(), &termios, VADDR(argument), sizeof(termios));

	if (error != 0)
		return error;
	spin_lock(&tty.lock, RANK_FILE);
	line_set(&tty.line, &termios);
	if (flush)
		line_flush(&tty.line);
	spin_unlock(&tty.lock, RANK_FILE);
	wake_all(&tty.readers);
	return 0;
}

static int64_t tty_get_window(uint64_t argument)
{
	struct winsize window;
	uint64_t signals;

	spin_lock(&tty.lock, RANK_FILE);
	signals = tty_resize_locked();
	window = tty.window;
	spin_unlock(&tty.lock, RANK_FILE);
	tty_jobs_signal(signals);
	return tty_out(argument, &window, sizeof(window));
}

static int64_t tty_set_window(uint64_t argument)
{
	struct winsize window;
	uint64_t signals;
	int error = user_read(current_space(), &window, VADDR(argument), sizeof(window));

	if (error != 0)
		return error;
	spin_lock(&tty.lock, RANK_FILE);
	signals = tty_resize_locked();
	if (memcmp(&tty.window, &window, sizeof(window)) != 0)
		signals = SIG_BIT(SIGWINCH);
	tty.window = window;
	spin_unlock(&tty.lock, RANK_FILE);
	tty_jobs_signal(signals);
	return 0;
}

static int64_t tty_get_ready(uint64_t argument)
{
	uint32_t ready;
	bool eof;

	spin_lock(&tty.lock, RANK_FILE);
	ready = line_ready(&tty.line, &eof);
	spin_unlock(&tty.lock, RANK_FILE);
	return tty_out(argument, &ready, sizeof(ready));
}

static int64_t tty_flush(uint64_t queue)
{
	if (queue > 2)
		return -EINVAL;
	if (queue != 1) { /* TCOFLUSH: what is queued for output is on its way */
		spin_lock(&tty.lock, RANK_FILE);
		line_flush(&tty.line);
		spin_unlock(&tty.lock, RANK_FILE);
	}
	return 0;
}

static int64_t tty_ioctl_terminal(uint64_t request, uint64_t argument)
{
	uint32_t zero = 0;
	int error = 0;

	if (request == TCSETS || request == TCSETSW || request == TCSETSF || request == TCFLSH || request == TCSBRK)
		error = tty_jobs_check(SIGTTOU);
	if (error != 0)
		return error;
	switch (request) {
	case TCGETS:
		return tty_get_termios(argument);
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return tty_set_termios(argument, request == TCSETSF);
	case TIOCGWINSZ:
		return tty_get_window(argument);
	case TIOCSWINSZ:
		return tty_set_window(argument);
	case TIOCOUTQ:
		return tty_out(argument, &zero, sizeof(zero));
	case TCFLSH:
		return tty_flush(argument);
	case TCSBRK:
	case TCXONC:
		return 0;
	default:
		return tty_jobs_ioctl(request, argument);
	}
}

static int64_t tty_ioctl(struct file *file, uint64_t request, uint64_t argument)
{
	(void)file;
	if (request == TIOCINQ)
		return tty_get_ready(argument);
	return tty.terminal ? tty_ioctl_terminal(request, argument) : -ENOTTY;
}

const struct file_ops tty_ops = {
	.read = tty_read,
	.write = tty_write,
	.poll = tty_poll,
	.stat = tty_stat,
	.ioctl = tty_ioctl,
};

void tty_init(bool terminal)
{
	spin_init(&tty.lock);
	line_init(&tty.line, tty_echo, NULL);
	if (!terminal) {
		tty.line.termios.iflag = 0;
		tty.line.termios.lflag = 0;
	}
	tty.terminal = terminal;
	tty_jobs_init();
	wait_queue_init(&tty.readers);
	wait_queue_init(&tty.writers);
	console_set_callbacks(tty_readable, tty_writable);
}

bool tty_is_controlling(void)
{
	return tty.terminal && tty_jobs_ours();
}

bool tty_is_terminal(void)
{
	return tty.terminal;
}

int tty_open(unsigned flags, bool err, struct node *node, struct file **out)
{
	return file_create(&tty_ops, flags | O_LARGEFILE, node, err ? &tty_err_channel : NULL, out);
}
