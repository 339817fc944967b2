"""The boundaries of a run: each step's begin and end, and each start of a tool, as they happen.

A boundary is a label such as "db.dump.shop running", "db.dump.shop succeeded" or "restic 3" (the third one that the agent
started for this run). One run that is followed to its end tells all of them, in order. Which comes first of two that
run beside each other is chance; that a run comes to each of them, or is over, is not.
"""

import collections
import os
import pathlib
import re
import select
import subprocess
import time
import zlib

from inventory import started_at
from stack import BIN, DEADLINE_S

TOOLS = {"restic", "pg_dump", "pg_dumpall", "pg_restore", "pg_amcheck", "initdb", "postgres"}
EVERY = int(os.environ.get("SALVOR_EVERY_NTH_BOUNDARY", "10"))
ONLY = os.environ.get("SALVOR_BOUNDARIES", "")  # separated by commas: these, to look at a failure
_LOOK_S = 0.004  # between two looks at the agent's children


def sample(boundaries, seed):
    """All of them, or one in so many: which, does not depend on what else was seen, and is another for each seed."""
    if ONLY:
        return ONLY.split(",")
    ordered = sorted(boundaries)
    return [each for each in ordered if zlib.crc32(f"{seed} {each}".encode()) % EVERY == 0] or ordered[:1]


def _tools_below(pid):
    """(pid, name) of the tools that a process or its supervisors have started. Quick, for it is asked all the time."""
    found, parents = [], [(pid, "")]
    while parents:
        parent, parent_name = parents.pop()
        for child in _children_of(parent):
            name = _read(f"/proc/{child}/comm").strip()
            if name in TOOLS and name != parent_name:  # a server's own children are no tools
                found.append((child, name))
            parents.append((child, name))
    return found


def _children_of(pid):
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


class Follower:
    """Use as a context manager. `seen` are the boundaries that the run has come to."""

    def __init__(self, stack, run):
        self.stack, self.run = stack, run
        self.seen, self.over = [], False
        self._known, self._counts, self._rest = set(), collections.Counter(), b""

    def __enter__(self):
        self._watch = subprocess.Popen([BIN / "salvor", "run", "watch", self.run, "-o", "json"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, env=self.stack.cli_environment())
        os.set_blocking(self._watch.stderr.fileno(), False)
        return self

    def __exit__(self, *_):
        self._watch.kill()
        self._watch.wait()
        self._watch.stderr.close()

    def until(self, boundary):
        """True when the run has come to it, False when it is over without."""
        deadline = time.monotonic() + DEADLINE_S
        while boundary not in self.seen and not self.over:
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {DEADLINE_S:.0f} s in vain for '{boundary}' of {self.run}; it came to: {self.seen}")
            self._look_for_tools()
            if select.select([self._watch.stderr], [], [], _LOOK_S)[0]:
                self._read()
        return boundary in self.seen

    def to_the_end(self):
        self.until(None)
        return self.seen

    def _read(self):
        data = self._watch.stderr.read()
        if not data:
            self.over = True
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            event = re.match(r"\S+ (\S+) (running|succeeded)\b", line.decode())
            if event is None or event[1] == "run":
                self.over = self.over or re.match(r"\S+ run (complete|partial|proven|disproven|unverifiable|restored|failed|cancelled)\b", line.decode()) is not None
                continue
            for label in {"running": ["running"], "succeeded": ["running", "succeeded"]}[event[2]]:
                self._add(f"{event[1]} {label}")

    def _add(self, boundary):
        if boundary not in self.seen:
            self.seen.append(boundary)

    def _look_for_tools(self):
        for pid, name in _tools_below(self.stack.agent.pid):
            identity = (pid, name, started_at(pid))
            if identity not in self._known and identity[2] is not None:
                self._known.add(identity)
                self._counts[name] += 1
                self._add(f"{name} {self._counts[name]}")
