"""
Programs beside each other, as many as this machine has processors, for a long job: none of them, nor what they start, outlives it, and where
it is ended early none is started any more.
"""
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import threading

from corral_lib import machine

AT_ONCE = os.cpu_count() or 1


class Ended(Exception):
    """The job is being ended."""


def kill(process):
    """It, and all of the session that it has begun."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def session(command, **more):
    """The process, in a session of its own: nothing of that is left when the `with` ends, nor when we do."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=machine.die_with_parent(os.getpid()), **more) as process:
        try:
            yield process
        finally:
            kill(process)


class Jobs:
    """`with` it. What `submit` gives is a future of what function(*args, **more) returns; it is a step of the progress, which is within another `with`."""

    def __init__(self, progress):
        self.progress, self.pool = progress, concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self.lock, self.running, self.stopped = threading.Lock(), set(), False

    def submit(self, name, function, *args, **more):
        def step():
            self.progress.begin(name)
            done = function(*args, **more)
            self.progress.end(name)
            return done
        return self.pool.submit(step)

    def run(self, command, limit=None, **more):
        """As subprocess.run, with what it prints, out of a step."""
        with self.lock:
            if self.stopped:
                raise Ended
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
                                       preexec_fn=machine.die_with_parent(os.getpid()), **{"stderr": subprocess.STDOUT} | more)
            self.running.add(process)
        with process:
            try:
                out, err = process.communicate(timeout=limit)
            except BaseException:
                kill(process)
                raise
            finally:
                with self.lock:
                    self.running.discard(process)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            with self.lock:
                self.stopped = True
                for process in self.running:
                    kill(process)
        self.pool.shutdown(cancel_futures=True)
