"""Talking to people: steps with seconds and what is left, and errors that say what to do next."""

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


class Trouble(Exception):
    """A failure, and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Unfit(Trouble):
    """The machine cannot hold the cluster; nothing was changed."""

    exit_code = 3


def say(text: str) -> None:
    print(text, flush=True)


def report(trouble: Trouble) -> None:
    print(f"error: {trouble}", file=sys.stderr)
    if trouble.hint:
        print(f"  hint: {trouble.hint}", file=sys.stderr)


class Steps:
    """Announces steps; remembers how long each took last time, to say how long is left."""

    def __init__(self, memory: Path, guesses: dict[str, float]) -> None:
        self.memory = memory
        self.left = dict(guesses)
        self.begin = time.monotonic()
        try:
            self.seconds = {**guesses, **json.loads(memory.read_text())}
        except (OSError, ValueError):
            self.seconds = dict(guesses)

    def elapsed(self) -> float:
        return time.monotonic() - self.begin

    def _line(self, text: str, end: str) -> None:
        left = sum(self.seconds[name] for name in self.left)
        tail = f"about {left:.0f} s left" if self.left else ""
        print(f"\r{self.elapsed():6.1f} s  {text:<46} {tail:<20}".rstrip(), end=end, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if sys.stdout.isatty():
            self._line(f"{name} …", "")
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            if sys.stdout.isatty():
                print()
            raise
        self.seconds[name] = round(time.monotonic() - begin, 2)
        self.left.pop(name, None)
        if sys.stdout.isatty():
            print("\r" + " " * 78, end="")
        self._line(name, "\n")

    def remember(self) -> None:
        try:
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            self.memory.write_text(json.dumps(self.seconds, indent=1))
        except OSError:
            pass  # an estimate is not worth an error


def wait_for(what: str, condition, seconds: float, hint: str = "", alive=lambda: True) -> None:
    """Waits until condition() holds; gives up after the time, or at once when alive() does not hold."""
    end = time.monotonic() + seconds
    pause = 0.02
    while not condition():
        if not alive():
            raise Trouble(f"{what}: the process ended", hint)
        if time.monotonic() > end:
            raise Trouble(f"waited {seconds:.0f} s in vain for: {what}", hint)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
