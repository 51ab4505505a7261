"""
One run of the machine: QEMU as a child, its console decoded, our standard input passed on.

No QEMU outlives its run: it is killed by its own pid on every way out of Machine.run, and by the kernel
(PR_SET_PDEATHSIG) when this process is killed itself. All waiting is done in one poll, in Machine.step.
"""
import contextlib
import ctypes
import fcntl
import os
import select
import selectors
import signal
import subprocess
import termios
import time

from . import console

CHUNK = 65536
PIPE_SAFE = select.PIPE_BUF  # a writable pipe takes this much without blocking
EXIT_GRACE = 10.0            # seconds for QEMU to end after the guest said it is done
FAILED, TIMED_OUT = 125, 124
PR_SET_PDEATHSIG = 1
ESCAPE = b"\x1d"             # Ctrl-]


class Interrupted(Exception):
    """A signal asked us to stop."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


class MachineFailed(Exception):
    """The machine, not the program, went wrong: the message for the user, and our exit status."""

    def __init__(self, message, status=FAILED):
        super().__init__(message)
        self.status = status


def die_with_parent(parent):
    """For preexec: SIGKILL for the child when its parent ends. The check closes the gap before the call."""
    libc = ctypes.CDLL(None, use_errno=True)

    def preexec():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(FAILED)
    return preexec


class Terminal:
    """
    Our terminal while the guest has it: each key goes through as it is; Ctrl-C still ends the run, or, with all_keys, goes
    through as well: then ESCAPE ends it.
    """

    def __init__(self, fd, all_keys=False):
        self.fd = fd
        self.saved = termios.tcgetattr(fd)
        mode = termios.tcgetattr(fd)
        mode[0] &= ~(termios.ICRNL | termios.INLCR | termios.IXON | termios.ISTRIP)
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        mode[6][termios.VSUSP] = mode[6][termios.VQUIT] = b"\0"
        if all_keys:
            mode[6][termios.VINTR] = ESCAPE
        termios.tcsetattr(fd, termios.TCSADRAIN, mode)

    def size(self):
        try:
            return tuple(os.get_terminal_size(self.fd))[::-1]
        except OSError:
            return 0, 0

    def restore(self):
        termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)


def usable_terminal(fd):
    """Whether fd is a terminal that we may read: in the background reading would stop us."""
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


class Machine:
    """Runs QEMU with the given command line. Output and errors of the program go to file descriptors out and err."""

    def __init__(self, command, pass_fds=(), timeout=None, stdin=0, out=1, err=2, log=None, verbose=False,
                 all_keys=False):
        self.command, self.pass_fds = command, pass_fds
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.timeout = timeout
        self.stdin = stdin
        self.sinks = {console.OUT: out, console.ERR: err}
        self.err = err
        self.log, self.verbose = log, verbose
        self.all_keys = all_keys
        self.decoder = console.Decoder()
        self.kernel_log = bytearray()
        self.complaints = bytearray()  # QEMU's own standard error
        self.to_guest = bytearray()
        self.status = None
        self.panicked = False
        self.terminal = None
        self.resized = False
        self.woken = self.wake = None
        self.process = None
        self.poll = selectors.PollSelector()

    # ---- The run

    def run(self):
        """The program's exit status. Raises MachineFailed, Interrupted, BrokenPipeError (nobody reads our output)."""
        try:
            self.start()
            while self.process.stdout in self.poll.get_map():
                self.step()
            return self.result()
        finally:
            self.stop()

    def start(self):
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                pass_fds=self.pass_fds, start_new_session=True, preexec_fn=die_with_parent(os.getpid()))
        except OSError as error:
            raise MachineFailed(f"{self.command[0]}: {error.strerror}") from None
        os.set_blocking(self.process.stdin.fileno(), False)
        self.poll.register(self.process.stdout, selectors.EVENT_READ, self.on_output)
        self.poll.register(self.process.stderr, selectors.EVENT_READ, self.on_complaint)
        if self.stdin is not None and usable_terminal(self.stdin):
            self.terminal = Terminal(self.stdin, self.all_keys)
            # A signal alone does not end a wait (PEP 475).
            self.woken, self.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self.poll.register(self.woken, selectors.EVENT_READ, lambda fd, _mask: os.read(fd, CHUNK))
            signal.signal(signal.SIGWINCH, self.on_resize)

    def stop(self):
        if self.terminal:
            self.terminal.restore()
        if self.wake is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            os.close(self.woken)
            os.close(self.wake)
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        self.poll.close()

    def result(self):
        """QEMU has closed its output: what came of it?"""
        try:
            code = self.process.wait(timeout=EXIT_GRACE)
        except subprocess.TimeoutExpired:
            code = None
        if self.panicked:
            raise MachineFailed("the machine panicked")
        if self.status is not None:
            return self.status
        if self.complaints:
            raise MachineFailed("QEMU failed: " + self.complaints.decode(errors="replace").strip())
        raise MachineFailed(f"the machine stopped before the program ended (QEMU's status: {code})")

    # ---- Waiting

    def step(self):
        if self.resized:
            self.send_size()
        self.want_write(bool(self.to_guest))
        events = self.poll.select(self.remaining())
        for key, mask in events:
            if key.fileobj in self.poll.get_map():  # else one before it in this round has ended it
                key.data(key.fileobj, mask)
        if not events and self.deadline is not None and time.monotonic() >= self.deadline:
            self.on_deadline()

    def remaining(self):
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def on_deadline(self):
        if self.panicked or self.status is not None:
            # It said so itself and did not power off: the word counts.
            self.process.kill()
            self.deadline = None
            return
        raise MachineFailed(f"timed out after {self.timeout:g} s", TIMED_OUT)

    def ending(self):
        """The guest said it is done: it has a moment to power off."""
        grace = time.monotonic() + EXIT_GRACE
        self.deadline = grace if self.deadline is None else min(grace, self.deadline)
        self.forget_input()

    # ---- From the guest

    def on_output(self, pipe, _mask):
        data = os.read(pipe.fileno(), CHUNK)
        if not data:
            self.poll.unregister(pipe)
            return
        for event in self.decoder.feed(data):
            self.on_event(*event)

    def on_event(self, kind, *args):
        if kind == "data":
            self.on_data(*args)
        elif kind == "ready":
            self.start_input()
        elif kind == "panic":
            self.panicked = True
            self.ending()
        elif kind == "exit":
            self.status = args[0]
            self.ending()

    def on_data(self, channel, data):
        if channel != console.KERNEL:
            self.write_all(self.sinks[channel], data)
            return
        data = data.replace(b"\r\n", b"\n")
        self.kernel_log += data
        if self.log:
            self.log.write(data)
            self.log.flush()
        if self.verbose:
            self.write_all(self.err, data)

    def write_all(self, fd, data):
        """Writes whole, not blocking beyond the deadline when the reader does not read."""
        view = memoryview(data)
        while view:
            if select.select([], [fd], [], self.remaining())[1]:
                view = view[os.write(fd, view[:PIPE_SAFE]):]
            else:
                raise MachineFailed(f"timed out after {self.timeout:g} s: nobody reads the output", TIMED_OUT)

    def on_complaint(self, pipe, _mask):
        data = os.read(pipe.fileno(), CHUNK)
        if not data:
            self.poll.unregister(pipe)
        self.complaints += data
        if self.log:
            self.log.write(data)
            self.log.flush()

    # ---- To the guest

    def start_input(self):
        if self.terminal:
            self.send_size()
        elif self.stdin is None or os.isatty(self.stdin):
            self.to_guest += console.END_OF_FILE
            return
        if self.status is None and not self.panicked:
            self.poll.register(self.stdin, selectors.EVENT_READ, self.on_input)

    def forget_input(self):
        self.to_guest.clear()
        if self.stdin is not None and self.stdin in self.poll.get_map():
            self.poll.unregister(self.stdin)
        self.stdin = None

    def on_input(self, fd, _mask):
        if len(self.to_guest) >= CHUNK:
            self.poll.unregister(fd)  # taken up again when the guest has taken some: on_room
            return
        try:
            data = os.read(fd, CHUNK)
        except OSError:
            data = b""
        self.to_guest += console.encode(data) if data else console.END_OF_FILE
        if not data:
            self.poll.unregister(fd)
            self.stdin = None

    def on_room(self, pipe, _mask):
        try:
            del self.to_guest[:os.write(pipe.fileno(), self.to_guest[:CHUNK])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.forget_input()
            return
        if len(self.to_guest) < CHUNK and self.stdin is not None and self.stdin not in self.poll.get_map():
            self.poll.register(self.stdin, selectors.EVENT_READ, self.on_input)

    def want_write(self, wanted):
        pipe = self.process.stdin
        if wanted and pipe not in self.poll.get_map():
            self.poll.register(pipe, selectors.EVENT_WRITE, self.on_room)
        elif not wanted and pipe in self.poll.get_map():
            self.poll.unregister(pipe)

    def on_resize(self, _signum, _frame):
        self.resized = True
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake, b"w")

    def send_size(self):
        self.resized = False
        if self.decoder.ready and self.status is None:
            self.to_guest += console.window(*self.terminal.size())


def wake_on_signals():
    """SIGINT, SIGTERM and SIGHUP raise Interrupted, wherever we are; one that is ignored (nohup) stays ignored."""
    def on_signal(signum, _frame):
        raise Interrupted(signum)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, on_signal)


def memory_file(name, data):
    """A file without a name on disk, which leaves nothing behind: (fd, path for a child that inherits the fd)."""
    fd = os.memfd_create(name, 0)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
    fcntl.fcntl(fd, fcntl.F_SETFD, 0)
    return fd, f"/proc/self/fd/{fd}"
