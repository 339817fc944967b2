"""Helpers of the tests of a running cluster: kubectl and velero, bounded waits, namespaces that are cleaned up."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Callable, TypeVar
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `bed` is found however the tests are started

from bed import binaries, s3  # noqa: E402
from bed.configuration import s3_access  # noqa: E402
from bed.settings import KUBECONFIG, STATE  # noqa: E402

Json = dict[str, Any]
Value = TypeVar("Value")

OBJECTS = HERE / "objects"
LOCK = STATE / "suite.lock"
VELERO = "velero"
# Namespaces and backups carry it, so that the next run finds what an interrupted one left.
LABEL = "salvor.test/suite"
RUN = os.urandom(3).hex()
ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
BACKUP_SECONDS = 180
RESTORE_SECONDS = 180
READY_SECONDS = 120
GONE_SECONDS = 90
PAUSE = 0.25


def _run(name: str, words: tuple[str, ...], text: str = "", seconds: float = 60,
         check: bool = True) -> subprocess.CompletedProcess[str]:
    command = f"{name} {' '.join(words)}"
    try:
        done = subprocess.run([str(binaries.program(name)), *words], input=text, text=True, capture_output=True,
                              timeout=seconds, env={**os.environ, "KUBECONFIG": str(KUBECONFIG)})
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{command}: no end after {seconds:.0f} s") from late
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def kubectl(*words: str, text: str = "", seconds: float = 60) -> str:
    return _run("kubectl", words, text, seconds).stdout


def velero(*words: str, seconds: float = 60) -> str:
    return _run("velero", words, seconds=seconds).stdout


def succeeds(*words: str, seconds: float = 60) -> bool:
    """Whether kubectl ends well, for questions that may be answered with no."""
    return _run("kubectl", words, seconds=seconds, check=False).returncode == 0


def get(space: str, kind: str, name: str) -> Json | None:
    """An object, or None if it is not there."""
    found = kubectl("-n", space, "get", kind, name, "--ignore-not-found", "-o", "json")
    return json.loads(found) if found.strip() else None


def find(space: str, kind: str, selector: str = "") -> list[Json]:
    words = ["-l", selector] if selector else []
    return json.loads(kubectl("-n", space, "get", kind, *words, "-o", "json"))["items"]


def phase(thing: Json | None) -> str:
    return (thing or {}).get("status", {}).get("phase", "")


def apply(space: str, *objects: Json | Path) -> None:
    for each in objects:
        text = each.read_text() if isinstance(each, Path) else json.dumps(each)
        kubectl("-n", space, "apply", "-f", "-", text=text)


def wait_for(what: str, question: Callable[[], Value], seconds: float,
             instead: Callable[[], Any]) -> Value:
    """Waits until question() is true, and gives what it gave. instead() tells what there was at the end in vain. The
    question is asked again after its time is over: who is kept from asking by a busy machine does not fail by that."""
    limit = time.monotonic() + seconds
    while not (value := question()):
        if time.monotonic() > limit:
            if value := question():
                return value
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}; there was: {_told(instead)}")
        time.sleep(PAUSE)
    return value


def _told(instead: Callable[[], Any]) -> str:
    """A state that cannot be told must not hide what was waited for."""
    try:
        return str(instead())
    except (AssertionError, OSError, subprocess.SubprocessError) as failed:
        return f"(not to be told: {failed})"


def pods_of(space: str, selector: str = "") -> list[str]:
    """Each pod with its phase, what it waits for, and its conditions that are not true."""
    found = []
    for each in find(space, "pods", selector):
        status = each.get("status", {})
        states = [state.get("state", {}).get("waiting", {}).get("reason", "")
                  for state in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])]
        missing = [one["type"] for one in status.get("conditions", []) if one["status"] != "True"]
        words = [phase(each), *filter(None, states), *(f"not {one}" for one in missing)]
        found.append(f"{each['metadata']['name']}: {', '.join(words)}")
    return found


def reach(what: str, ask: Callable[[], Value], wanted: Value, seconds: float) -> None:
    """Waits until ask() gives what is wanted."""
    last: list[Value] = []

    def question() -> bool:
        last[:] = [ask()]
        return last[0] == wanted
    wait_for(f"{what} to be {wanted}", question, seconds, lambda: last[0])


def hold(what: str, ask: Callable[[], Value], wanted: Value, seconds: float) -> None:
    """That something does not happen can only be seen by looking for a while."""
    begin = time.monotonic()
    while (past := time.monotonic() - begin) < seconds:
        if (found := ask()) != wanted:
            raise AssertionError(f"{what} did not stay {wanted} for {seconds:.0f} s: after {past:.0f} s it was {found}")
        time.sleep(PAUSE)


def wait_until_ready(space: str, *names: str) -> None:
    try:
        kubectl("-n", space, "rollout", "status", f"--timeout={READY_SECONDS}s", *names, seconds=READY_SECONDS + 10)
    except AssertionError as failed:
        raise AssertionError(f"{failed}; there was: {_told(lambda: pods_of(space))}") from failed


def delete_namespace(space: str) -> None:
    kubectl("delete", "namespace", space, "--ignore-not-found", "--wait=false")
    wait_for(f"namespace {space} to be gone", lambda: not get("default", "namespace", space), GONE_SECONDS,
             lambda: (get("default", "namespace", space) or {}).get("status"))


def backup_phase(name: str) -> str:
    return phase(get(VELERO, "backups.velero.io", name))


def delete_backup(name: str) -> None:
    """Velero deletes its data too. A Backup that it does not care for is deleted as an object."""
    if backup_phase(name) in ENDED:
        velero("backup", "delete", name, "--confirm")
        try:
            wait_for(f"the deletion of backup {name}", lambda: not get(VELERO, "backups.velero.io", name), GONE_SECONDS,
                     lambda: [each.get("status") for each in find(VELERO, "deletebackuprequests",
                                                                  f"velero.io/backup-name={name}")])
            return
        finally:
            kubectl("-n", VELERO, "delete", "deletebackuprequests", "-l", f"velero.io/backup-name={name}")
    kubectl("-n", VELERO, "delete", "backups.velero.io", name, "--ignore-not-found")


def delete_repositories(space: str) -> None:
    """Else Velero would go on to maintain the repositories of namespaces that are gone, and their data would stay."""
    kubectl("-n", VELERO, "delete", "backuprepositories", "-l", f"velero.io/volume-namespace={space}")
    for key in stored(f"kopia/{space}/"):
        status, body = s3.request(s3_access(), "DELETE", f"/{s3_access()['bucket']}/{key}")
        if status != 204:
            raise AssertionError(f"deleting {key}: {status} {body.decode(errors='replace')[:300]}")


def delete_snapshot_contents(space: str) -> None:
    """Objects that Velero makes to restore a snapshot stay when the namespace goes; its snapshot is the backup's."""
    for each in find(space, "volumesnapshotcontents"):
        if each["spec"]["volumeSnapshotRef"].get("namespace") == space:
            kubectl("delete", "volumesnapshotcontent", each["metadata"]["name"], "--ignore-not-found")


def stored(prefix: str) -> list[str]:
    """The names that the object store holds under it, at most a thousand."""
    access = s3_access()
    status, body = s3.request(access, "GET", f"/{access['bucket']}", query=f"list-type=2&prefix={quote(prefix, '')}")
    if status != 200:
        raise AssertionError(f"listing {prefix}: {status} {body.decode(errors='replace')[:300]}")
    return re.findall(r"<Key>([^<]*)</Key>", body.decode())


def volume_info(backup: str) -> dict[str, Json]:
    """Notes of Velero about each volume, by the claim's name: its VolumeInfo, as it lies in the object store. `velero
    backup describe` shows a part of it only, and leaves out what was skipped."""
    access = s3_access()
    path = f"/{access['bucket']}/backups/{backup}/{backup}-volumeinfo.json.gz"
    status, body = s3.request(access, "GET", path)
    if status != 200:
        raise AssertionError(f"{path}: {status} {body.decode(errors='replace')[:300]}")
    return {each["pvcName"]: each for each in json.loads(gzip.decompress(body))}


class ClusterTest(unittest.TestCase):
    """Names of its own for each test; everything it made is removed, whatever happened."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.spaces: list[str] = []  # shown by the runner when the test fails

    def namespace(self, name: str, make: bool = True) -> str:
        space = f"{name}-{RUN}"
        self.spaces.append(space)
        self.addCleanup(delete_repositories, space)
        self.addCleanup(delete_snapshot_contents, space)
        self.addCleanup(delete_namespace, space)
        if make:
            apply(space, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": {LABEL: RUN}}})
            # The service account that every pod wants comes a moment after the namespace.
            wait_for(f"the service account of {space}",
                     lambda: get(space, "serviceaccount", "default"), READY_SECONDS,
                     lambda: (get("default", "namespace", space) or {}).get("status"))
        return space

    def start_backup(self, name: str, space: str, *options: str) -> str:
        backup = f"{name}-{RUN}"
        self.addCleanup(delete_backup, backup)
        velero("backup", "create", backup, "--include-namespaces", space, "--labels", f"{LABEL}={RUN}", *options)
        return backup

    def wait_for_backup(self, backup: str, seconds: float = BACKUP_SECONDS) -> str:
        wait_for(f"the end of backup {backup}", lambda: backup_phase(backup) in ENDED, seconds,
                 lambda: backup_phase(backup))
        return backup_phase(backup)

    def back_up(self, name: str, space: str, *options: str) -> str:
        """Makes a backup that Velero calls Completed."""
        backup = self.start_backup(name, space, *options)
        self.assertEqual(self.wait_for_backup(backup), "Completed", f"see: velero backup logs {backup}")
        return backup

    def start_restore(self, name: str, backup: str, *options: str) -> str:
        restore = f"{name}-{RUN}"
        self.addCleanup(kubectl, "-n", VELERO, "delete", "restores.velero.io", restore, "--ignore-not-found")
        velero("restore", "create", restore, "--from-backup", backup, *options)
        return restore

    def restore(self, name: str, backup: str, *options: str) -> str:
        """Makes a restore that Velero calls Completed."""
        restore = self.start_restore(name, backup, *options)

        def found() -> str:
            return phase(get(VELERO, "restores.velero.io", restore))
        wait_for(f"the end of restore {restore}", lambda: found() in ENDED, RESTORE_SECONDS, found)
        self.assertEqual(found(), "Completed", f"see: velero restore logs {restore}")
        return restore
