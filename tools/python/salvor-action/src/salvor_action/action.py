"""What a program derives from, and how it is run."""
from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from typing import IO, Iterable

from .contract import EXIT_CODES, Artifact, Events, Request


class Failed(Exception):
    """It cannot be done. `hint` is what to do next."""

    code = 1

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


class Temporary(Failed):
    """Worth another try."""

    code = EXIT_CODES["temporary"]


class Damaged(Failed):
    """What was kept is itself wrong: a drill disproves the backup by it."""

    code = EXIT_CODES["damaged"]


class Stream:
    """An artifact that is written as it comes. It is told once it was closed, which `with` does unless there was an error."""

    def __init__(self, name: str, out: IO[bytes], tell: Events):
        self._name, self._out, self._tell = name, out, tell
        self._digest, self.bytes = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._out.write(data)
        self._digest.update(data)
        self.bytes += len(data)

    def copy(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.write(piece)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, kind, value, trace) -> None:
        self._out.close()
        if kind is None:
            self._tell.artifact(self._name, "stream", bytes=self.bytes, sha256=self._digest.hexdigest())


class Action:
    """One program. Each method gets the request and tells what it has to; it raises Failed, Temporary or Damaged."""

    def plan(self, request: Request, tell: Events) -> None:
        raise NotImplementedError

    def backup(self, request: Request, tell: Events) -> None:
        raise NotImplementedError

    def restore(self, request: Request, tell: Events) -> None:
        raise NotImplementedError

    def verify(self, request: Request, tell: Events) -> None:
        raise NotImplementedError

    @staticmethod
    def open_stream(request: Request, tell: Events, name: str) -> Stream:
        """The stream that was planned under this name."""
        return Stream(name, os.fdopen(request.streams[name], "wb"), tell)

    @staticmethod
    def artifact(request: Request, name: str) -> Artifact:
        """The artifact of a restore."""
        for one in request.artifacts:
            if one.name == name:
                return one
        raise Damaged(f"artifact {name} is not in the backup")


class _ToldEvents(Events):
    def __init__(self, out: IO[str]):
        self._out = out

    def _tell(self, event: str, **fields: object) -> None:
        given = {name: _sentence(value) if name in ("message", "hint", "detail") else value
                 for name, value in fields.items() if value is not None}
        self._out.write(json.dumps({"event": event, **given}) + "\n")
        self._out.flush()


def _sentence(text: object) -> str:
    """As much of it as an event takes: 1000 bytes of UTF-8."""
    return str(text).encode("utf-8", "replace")[:1000].decode("utf-8", "ignore")


def read_request(text: str) -> Request:
    fields = json.loads(text)
    fields["artifacts"] = [Artifact(**one) for one in fields["artifacts"]]
    return Request(**fields)


def run(action: Action) -> None:
    """Does what the request on stdin asks, and ends the process."""
    tell = _ToldEvents(os.fdopen(int(os.environ["SALVOR_EVENTS_FD"]), "w"))
    request = read_request(sys.stdin.read())
    try:
        getattr(action, request.verb)(request, tell)
    except Failed as failure:
        tell.error(str(failure), hint=failure.hint)
        sys.exit(failure.code)
    except Exception as error:  # a mistake in the program: its trace is for its author, in the log
        traceback.print_exc()
        tell.error(f"{type(error).__name__}: {error}")
        sys.exit(1)
    tell.done()
    sys.exit(0)
