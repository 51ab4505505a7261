"""
Which step of a long job runs, and about how long the rest takes if each takes what it took last: one line that is redrawn on a
terminal, nothing elsewhere. How long steps took is kept in a file, which several jobs may share.
"""
import json
import os
import sys
import time


def duration(seconds):
    minutes, seconds = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def usable(stream):
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


class Progress:
    """`with` it: the line is gone and the times are kept, however it ends."""

    def __init__(self, what, path, names, typical=20.0, stream=None):
        self.what, self.path, self.stream = what, path, stream or sys.stderr
        self.known = self.load()
        self.left = {name: self.known.get(f"{what} {name}", typical) for name in names}
        self.total, self.taken = len(self.left), {}
        self.name, self.since = None, 0.0
        self.terminal = usable(self.stream)

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def text(self):
        rest = max(0.0, self.left[self.name] - (time.monotonic() - self.since)) + sum(
            seconds for name, seconds in self.left.items() if name != self.name)
        return f"{self.what}: {self.total - len(self.left) + 1} of {self.total}, {self.name}; about {duration(rest)} left"

    def begin(self, name):
        """The step before has ended."""
        self.end()
        self.name, self.since = name, time.monotonic()
        self.left.setdefault(name, 0.0)
        if self.terminal:
            width = os.get_terminal_size(self.stream.fileno()).columns or 80
            self.stream.write("\r\033[K" + self.text()[:width - 1])
            self.stream.flush()

    def end(self):
        if self.name is not None:
            self.taken[f"{self.what} {self.name}"] = round(time.monotonic() - self.since, 2)
            self.left.pop(self.name)
            self.name = None

    def clear(self):
        """Room for a line of output."""
        if self.terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.end()
        self.clear()
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(f"{self.path}.{os.getpid()}", "w", encoding="utf-8") as file:
                json.dump(self.load() | self.taken, file, indent=1)
            os.replace(f"{self.path}.{os.getpid()}", self.path)
        except OSError:
            pass  # only the next estimate is worse
