"""Made from the schema of the action contract by generate.py: do not edit."""
from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
LIMITS = {'event_bytes': 65536, 'events': 20000, 'events_bytes': 4194304, 'artifacts': 32, 'streams': 8, 'of_each_event': 1000}
DESCRIPTORS = {'events': 3, 'program': 4, 'first_stream': 5}
EXIT_CODES = {'ok': 0, 'damaged': 65, 'temporary': 75}
VERBS = {'artifact': ('plan', 'backup'), 'expect': ('backup',), 'observe': ('verify',), 'check': ('verify',), 'progress': ('plan', 'backup', 'restore', 'verify'), 'warning': ('plan', 'backup', 'restore', 'verify'), 'conflict': ('plan',), 'error': ('plan', 'backup', 'restore', 'verify'), 'done': ('plan', 'backup', 'restore', 'verify')}
FIELDS = {'artifact': {'name': 40, 'kind': ['stream', 'file'], 'path': 200, 'bytes': 'number', 'sha256': 64}, 'expect': {'name': 200, 'value': 4096}, 'observe': {'name': 200, 'value': 4096}, 'check': {'name': 200, 'verdict': ['passed', 'failed', 'unverifiable'], 'detail': 1000}, 'progress': {'bytes_done': 'number', 'bytes_total': 'number', 'message': 1000}, 'warning': {'message': 1000}, 'conflict': {'message': 1000}, 'error': {'message': 1000, 'hint': 1000}, 'done': {}}
NEEDED = {'artifact': ('name', 'kind'), 'expect': ('name', 'value'), 'observe': ('name', 'value'), 'check': ('name', 'verdict'), 'progress': (), 'warning': ('message',), 'conflict': ('message',), 'error': ('message',), 'done': ()}


@dataclass
class Artifact:
    name: str
    path: str  # of the file, absolute; empty in plan
    bytes: int
    sha256: str


@dataclass
class Request:
    contract: int  # version of the contract
    verb: str  # what to do
    operation: str  # what the verb is a part of: plan comes before both
    run: str  # the run's name; the same in every attempt
    component: str  # the component's name
    attempt: int  # an earlier one may have left something half done
    drill: bool  # true: all is in the work folder, without a network and without secrets, and production is out of reach
    settings: dict[str, str]  # as the component declares them
    secrets: dict[str, str]  # the first lines of the files that the component names; empty in a drill
    work: str  # absolute path of the folder to work in; in a drill, verify gets the one that restore had
    streams: dict[str, int]  # backup: the descriptor of each stream that was planned
    artifacts: list[Artifact]  # restore: what is there of the backup; each file was compared with its digest already
    deadline_seconds: int  # so long it may take; then it gets SIGTERM, and SIGKILL ten seconds later


class Events:
    """What a program may tell. Somebody else says how it is told."""

    def _tell(self, event: str, **fields: object) -> None:
        raise NotImplementedError

    def artifact(self, name: str, kind: str, path: str | None = None, bytes: int | None = None, sha256: str | None = None) -> None:
        """In plan: an artifact that the backup will have. In backup: one that is whole by now."""
        self._tell("artifact", name=name, kind=kind, path=path, bytes=bytes, sha256=sha256)

    def expect(self, name: str, value: str) -> None:
        """Something that a restored copy must equal, of the same instant as the artifacts."""
        self._tell("expect", name=name, value=value)

    def observe(self, name: str, value: str) -> None:
        """What the restored copy has. Salvor compares it with what was expected; the program is not told that."""
        self._tell("observe", name=name, value=value)

    def check(self, name: str, verdict: str, detail: str | None = None) -> None:
        """A verdict of the program's own about the restored copy."""
        self._tell("check", name=name, verdict=verdict, detail=detail)

    def progress(self, bytes_done: int | None = None, bytes_total: int | None = None, message: str | None = None) -> None:
        """How far it is."""
        self._tell("progress", bytes_done=bytes_done, bytes_total=bytes_total, message=message)

    def warning(self, message: str) -> None:
        """Something that a person should know, and that spoils nothing."""
        self._tell("warning", message=message)

    def conflict(self, message: str) -> None:
        """Why it must not be done: each refuses the run before anything is written."""
        self._tell("conflict", message=message)

    def error(self, message: str, hint: str | None = None) -> None:
        """Why the program will exit with another code than 0. The last one counts."""
        self._tell("error", message=message, hint=hint)

    def done(self) -> None:
        """The last event: all is told. Without it nothing counts, whatever the exit code."""
        self._tell("done")
