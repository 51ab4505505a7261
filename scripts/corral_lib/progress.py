"""
Which step of a long job runs, and about how long the rest takes if each takes what it took last: one line that is redrawn each second on
a terminal, nothing elsewhere. How long steps took is kept in a file, which several jobs may share.
"""
import json
import os
import sys
import threading
import time

EVERY = 1.0  # seconds


def duration(seconds):
    minutes, seconds = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def usable(stream):
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


class Line:
    """`with` it: text() is drawn now and then, each time in the same line, which is gone at the end. Nothing where stream is no terminal."""

    def __init__(self, text, stream=None):
        self.text, self.stream = text, stream or sys.stderr
        self.terminal = usable(self.stream)
        self.lock, self.ended = threading.RLock(), threading.Event()
        self.thread = threading.Thread(target=self.tick, daemon=True)

    def tick(self):
        while not self.ended.wait(EVERY):
            self.draw()

    def draw(self):
        with self.lock:
            text = self.text() if self.terminal and not self.ended.is_set() else None
            if text:
                width = os.get_terminal_size(self.stream.fileno()).columns or 80
                self.stream.write("\r\033[K" + text[:width - 1])
                self.stream.flush()

    def clear(self):
        """Room for a line of output."""
        with self.lock:
            if self.terminal:
                self.stream.write("\r\033[K")
                self.stream.flush()

    def __enter__(self):
        if self.terminal:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.clear()


class Progress:
    """`with` it: the line is gone and the times are kept, however it ends. at_once: how many steps may run beside each other."""

    def __init__(self, what, path, names, typical=20.0, stream=None, at_once=1):
        self.what, self.path, self.at_once = what, path, at_once
        self.known = self.load()
        self.left = {name: self.known.get(f"{what} {name}", typical) for name in names}
        self.total, self.taken = len(self.left), {}
        self.since = {}  # of each that runs, the first first
        self.line = Line(self.text, stream)

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def text(self):
        """None between steps."""
        if not self.since:
            return None
        now = time.monotonic()
        run = {name: max(0.0, self.left[name] - (now - since)) for name, since in self.since.items()}
        rest = sum(run.values()) + sum(left for name, left in self.left.items() if name not in run)
        number = self.total - len(self.left) + len(run)
        return f"{self.what}: {number} of {self.total}, {', '.join(run)}; about {duration(max(rest / self.at_once, *run.values(), 0.0))} left"

    def begin(self, name):
        """Where one runs at a time, the step before has ended."""
        with self.line.lock:
            if self.at_once == 1:
                self.end()
            self.left.setdefault(name, 0.0)
            self.since[name] = time.monotonic()
        self.line.draw()

    def end(self, name=None):
        """This one, or all that run. Of one that never began nothing is known."""
        with self.line.lock:
            for ended in [name] if name in self.since else list(self.since) if name is None else []:
                self.taken[f"{self.what} {ended}"] = round(time.monotonic() - self.since.pop(ended), 2)
                self.left.pop(ended)

    def clear(self):
        """Room for a line of output."""
        self.line.clear()

    def say(self, text):
        """A line of output."""
        with self.line.lock:
            self.line.clear()
            print(text, flush=True)

    def __enter__(self):
        self.line.__enter__()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.end()
        self.line.__exit__()
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(f"{self.path}.{os.getpid()}", "w", encoding="utf-8") as file:
                json.dump(self.load() | self.taken, file, indent=1)
            os.replace(f"{self.path}.{os.getpid()}", self.path)
        except OSError:
            pass  # only the next estimate is worse
