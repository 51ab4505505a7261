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
    """`with` it: the line is gone and the times are kept, however it ends."""

    def __init__(self, what, path, names, typical=20.0, stream=None):
        self.what, self.path = what, path
        self.known = self.load()
        self.left = {name: self.known.get(f"{what} {name}", typical) for name in names}
        self.total, self.taken = len(self.left), {}
        self.name, self.since = None, 0.0
        self.line = Line(self.text, stream)

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def text(self):
        """None between steps."""
        name, left = self.name, dict(self.left)
        if name not in left:
            return None
        rest = max(0.0, left.pop(name) - (time.monotonic() - self.since)) + sum(left.values())
        return f"{self.what}: {self.total - len(left)} of {self.total}, {name}; about {duration(rest)} left"

    def begin(self, name):
        """The step before has ended."""
        self.end()
        with self.line.lock:
            self.left.setdefault(name, 0.0)
            self.name, self.since = name, time.monotonic()
        self.line.draw()

    def end(self):
        with self.line.lock:
            if self.name is not None:
                self.taken[f"{self.what} {self.name}"] = round(time.monotonic() - self.since, 2)
                self.left.pop(self.name)
                self.name = None

    def clear(self):
        """Room for a line of output."""
        self.line.clear()

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
