"""Progress on long work: which part, how far, how fast, how long still."""

import sys
import time


class Progress:
    """Prints a line to standard error at most every `every` seconds, and one at the end.

    Lines instead of a bar: two jobs write to one terminal, and a log file must stay readable.
    """

    def __init__(self, label: str, total: int, unit: str = "records", every: float = 5.0) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.every = every
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count `count` more units as done."""
        self.done += count
        now = time.monotonic()
        if now - self.printed >= self.every or self.done >= self.total:
            self.printed = now
            self._print(now - self.started)

    def _print(self, elapsed: float) -> None:
        rate = self.done / elapsed if elapsed > 0 else 0.0
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        ending = f"in {duration(elapsed)}" if self.done >= self.total else f"{duration(left)} left"
        say(f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:.1f}/s, {ending}")


def duration(seconds: float) -> str:
    """Return seconds as `42 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def say(message: str) -> None:
    """Print one line for the person who waits, on standard error."""
    print(message, file=sys.stderr, flush=True)


def say_error(error: object) -> None:
    """Print what went wrong, one sentence a line, each marked as an error."""
    for sentence in str(error).splitlines():
        say(f"error: {sentence}")
