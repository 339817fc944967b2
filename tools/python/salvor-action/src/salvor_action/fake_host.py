"""A host for an author's own tests: it runs a program as Salvor's agent does, and holds it to the contract.

It closes nothing in and uploads nothing. What it refuses Salvor refuses too; a few things only Salvor does (limits of time,
users, the sandbox of a drill).
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import threading

from . import contract


class BrokenContract(AssertionError):
    """The program does not keep the contract."""


@dataclasses.dataclass
class Outcome:
    """One run of one verb."""

    code: int
    log: str
    events: list[dict]
    streams: dict[str, bytes]

    def told(self, event: str) -> list[dict]:
        return [one for one in self.events if one["event"] == event]

    def values(self, event: str) -> dict[str, str]:
        return {one["name"]: one["value"] for one in self.told(event)}

    def error(self) -> str:
        return self.told("error")[-1]["message"] if self.told("error") else self.log.strip()


@dataclasses.dataclass
class Backup:
    artifacts: dict[str, bytes]
    expectations: dict[str, str]


class FakeHost:
    """Runs one program with these settings; everything is below `folder`, which must be there."""

    def __init__(self, program, folder, settings=None, secrets=None):
        self.program, self.folder = [str(part) for part in program], pathlib.Path(folder)
        self.settings, self.secrets = dict(settings or {}), dict(secrets or {})

    def backup(self) -> Backup:
        """Plans and backs up, as a step of a backup does."""
        planned = self.must("plan", "backup")
        names = [one["name"] for one in planned.told("artifact") if one["kind"] == "stream"]
        work = self._work("backup")
        done = self.must("backup", "backup", streams=names, work=work)
        artifacts = {}
        for one in done.told("artifact"):
            data = done.streams.get(one["name"]) if one["kind"] == "stream" else (work / one["path"]).read_bytes()
            self._need(data is not None, f"stream {one['name']} was not planned")
            self._need(len(data) == one["bytes"], f"artifact {one['name']}: {one['bytes']} bytes were told, {len(data)} came")
            digest = hashlib.sha256(data).hexdigest()
            self._need(one.get("sha256", digest) == digest, f"artifact {one['name']} has another SHA-256")
            artifacts[one["name"]] = data
        for one in planned.told("artifact"):
            self._need(one["name"] in artifacts, f"artifact {one['name']} was planned and not made")
        return Backup(artifacts, done.values("expect"))

    def restore(self, backup: Backup, drill=True) -> Outcome:
        work = self._work("restore")
        return self.run("restore", "restore", work=work, artifacts=self._lay(backup, work), drill=drill)

    def verify(self, backup: Backup, drill=True) -> list[str]:
        """What differs in the copy, one line each; nothing: it is proven."""
        work = self.folder / "restore" if drill else self._work("verify")
        done = self.must("verify", "restore", work=work, drill=drill)
        found = done.values("observe")
        cannot = {one["name"] for one in done.told("check") if one["verdict"] == "unverifiable"}
        wrong = [f"{name}: {value} at the backup, {found.get(name, 'nothing')} in the copy"
                 for name, value in sorted(backup.expectations.items())
                 if found.get(name) != value and (name in found or name not in cannot)]
        wrong += [f"{one['name']}: {one.get('detail', one['verdict'])}" for one in done.told("check") if one["verdict"] != "passed"]
        if not backup.artifacts:
            wrong.append("artifacts: none were kept, so it is unverifiable")
        if not backup.expectations:
            wrong.append("expectations: there are none, so it is unverifiable")
        return wrong

    def drill(self, backup: Backup) -> list[str]:
        done = self.restore(backup)
        self._need(done.code == 0, f"restore: {done.error()}")
        return self.verify(backup)

    def must(self, verb, operation, **options) -> Outcome:
        done = self.run(verb, operation, **options)
        self._need(done.code == 0, f"{verb}: exit code {done.code}: {done.error()}")
        return done

    def run(self, verb, operation, streams=(), work=None, artifacts=(), drill=False) -> Outcome:
        work = work or self._work("plan")
        (work / "tmp").mkdir(exist_ok=True)
        events_read, events_write = os.pipe()
        pipes = {name: os.pipe() for name in streams}
        request = contract.Request(
            contract=contract.VERSION, verb=verb, operation=operation, run="run-1", component="component", attempt=1, drill=drill,
            settings=self.settings, secrets={} if drill else self.secrets, work=str(work),
            streams={name: ends[1] for name, ends in pipes.items()}, artifacts=list(artifacts), deadline_seconds=600)
        collected = {name: bytearray() for name in [None, *pipes]}
        readers = [threading.Thread(target=self._collect, args=(end, collected[name]))
                   for name, end in [(None, events_read), *((name, ends[0]) for name, ends in pipes.items())]]
        for reader in readers:
            reader.start()
        theirs = [events_write, *(ends[1] for ends in pipes.values())]
        process = subprocess.Popen(
            self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=theirs, text=True, cwd="/",
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(work), "TMPDIR": str(work / "tmp"),
                 "LC_ALL": "C.UTF-8", "TZ": "UTC", "SALVOR_CONTRACT": str(contract.VERSION), "SALVOR_EVENTS_FD": str(events_write),
                 **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {})})
        for end in theirs:
            os.close(end)
        log, _ = process.communicate(json.dumps(dataclasses.asdict(request)))
        for reader in readers:
            reader.join()
        events = self._events(verb, bytes(collected.pop(None)), process.returncode)
        return Outcome(process.returncode, log, events, {name: bytes(data) for name, data in collected.items()})

    def _work(self, name) -> pathlib.Path:
        work = self.folder / name
        if work.exists():
            subprocess.run(["rm", "-rf", "--", str(work)], check=True)
        work.mkdir()
        return work

    @staticmethod
    def _lay(backup, work):
        (work / "artifacts").mkdir()
        for name, data in backup.artifacts.items():
            path = work / "artifacts" / name
            path.write_bytes(data)
            yield contract.Artifact(name, str(path), len(data), hashlib.sha256(data).hexdigest())

    @staticmethod
    def _collect(end, into):
        with os.fdopen(end, "rb") as source:
            for piece in iter(lambda: source.read1(65536), b""):
                into += piece

    def _events(self, verb, text, code):
        self._need(len(text) <= contract.LIMITS["events_bytes"], "the events are too long")
        lines = text.split(b"\n")
        self._need(lines.pop() == b"" or code != 0, "the last event is cut short")
        self._need(len(lines) <= contract.LIMITS["events"], "there are too many events")
        events = [self._event(verb, number, line) for number, line in enumerate(lines, 1)]
        names = [event["event"] for event in events]
        self._need(code != 0 or names[-1:] == ["done"], "its last event is not 'done'")
        self._need("done" not in names[:-1], "something comes after 'done'")
        return events

    def _event(self, verb, number, line):
        where = f"event {number}"
        self._need(len(line) <= contract.LIMITS["event_bytes"], f"{where}: it is too long")
        try:
            event = json.loads(line.decode("utf-8"), object_pairs_hook=self._once)
        except (ValueError, UnicodeDecodeError) as error:
            raise BrokenContract(f"{where}: {error}") from error
        name = event.get("event") if isinstance(event, dict) else None
        self._need(name in contract.FIELDS, f"{where}: {name!r} is no event")
        self._need(verb in contract.VERBS[name], f"{where}: {name!r} is no event of {verb}")
        for field in contract.NEEDED[name]:
            self._need(field in event, f"{where}: {name} has no {field}")
        for field, value in event.items():
            if field != "event":
                self._field(f"{where}: {name}", contract.FIELDS[name], field, value)
        return event

    def _field(self, where, fields, field, value):
        self._need(field in fields, f"{where}: it has no {field!r}")
        rule = fields[field]
        if rule == "number":
            self._need(type(value) is int and 0 <= value < 2**63, f"{where}: its {field} is no whole number from 0 on")
        elif isinstance(rule, int):
            self._need(isinstance(value, str) and len(value.encode()) <= rule, f"{where}: its {field} is no text of {rule} bytes")
        else:
            self._need(value in rule, f"{where}: its {field} is none of {', '.join(rule)}")

    @staticmethod
    def _once(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise ValueError("a key stands in it twice")
        return dict(pairs)

    @staticmethod
    def _need(condition, problem):
        if not condition:
            raise BrokenContract(problem)


def here(program) -> list[str]:
    """How a Python program is run by the interpreter of the test."""
    return [sys.executable, str(program)]
