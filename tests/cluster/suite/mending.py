"""Brings Velero back after the tests that break it, whether they ended or were interrupted."""

import json

from support import (ENDED, GONE_SECONDS, LABEL, READY_SECONDS, VELERO, find, get, kubectl, phase, pods_of, reach,
                     wait_for)

from bed.probes import condition

SNAPSHOT_KINDS = ("volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses")
SERVED_SECONDS = 30
# The last word of its start.
STARTED = "Server starting..."


def restart(name: str) -> None:
    """Ends Velero's server or node-agent: as by a crash, the new pod comes after the old one, not beside it."""
    selector = {"velero": "deploy=velero", "node-agent": "name=node-agent"}[name]
    old = {pod["metadata"]["uid"] for pod in find(VELERO, "pods", selector)}
    kubectl("-n", VELERO, "delete", "pods", "-l", selector, "--force", "--grace-period=0",
            f"--timeout={GONE_SECONDS}s", seconds=GONE_SECONDS + 10)
    wait_for(f"a new pod of {name} to be Ready", lambda: any(
        pod["metadata"]["uid"] not in old and condition(pod, "Ready") == "True"
        for pod in find(VELERO, "pods", selector)), READY_SECONDS, lambda: pods_of(VELERO, selector))
    if name == "velero":
        # It is Ready as soon as it runs, and learns only then which kinds there are.
        def said() -> str:
            return kubectl("-n", VELERO, "logs", "-l", selector, "-c", "velero", "--tail=-1")
        wait_for("Velero's server to have started", lambda: STARTED in said(), READY_SECONDS,
                 lambda: f"{pods_of(VELERO, selector)}, which said last: {said()[-1000:]}")


def forget_transfers(backup: str) -> None:
    """One that died cannot be deleted: who would take its finalizer away believes it is still being cancelled."""
    selector = f"velero.io/backup-name={backup}"
    # Deleted first: from then on nobody can put a finalizer back.
    kubectl("-n", VELERO, "delete", "podvolumebackups", "-l", selector, "--wait=false")
    for each in find(VELERO, "podvolumebackups", selector):
        kubectl("-n", VELERO, "patch", "podvolumebackup", each["metadata"]["name"], "--type=merge", "-p",
                '{"metadata": {"finalizers": null}}')
    reach(f"the transfers of {backup}", lambda: find(VELERO, "podvolumebackups", selector), [], GONE_SECONDS)


def _definition(kind: str) -> str:
    return f"{kind}.snapshot.storage.k8s.io"


def served_snapshots() -> list[str]:
    found = kubectl("api-resources", "--api-group=snapshot.storage.k8s.io", "--no-headers", "-o", "name").split()
    return [kind for kind in SNAPSHOT_KINDS if _definition(kind) in found]


def serve_snapshots(served: bool) -> None:
    """No object of theirs is deleted: the definitions only stop to be served, which Velero cannot tell from their
    absence."""
    patch = json.dumps([{"op": "test", "path": "/spec/versions/0/name", "value": "v1"},
                        {"op": "replace", "path": "/spec/versions/0/served", "value": served}])
    for kind in SNAPSHOT_KINDS:
        kubectl("patch", "customresourcedefinition", _definition(kind), "--type=json", "-p", patch)
    reach("the kinds of snapshots that are served", served_snapshots, list(SNAPSHOT_KINDS) if served else [],
          SERVED_SECONDS)


def after_an_interruption() -> None:
    """Only one run is under way at a time, so what is labelled as a test's and not at its end was interrupted."""
    blind = served_snapshots() != list(SNAPSHOT_KINDS)
    if blind:
        serve_snapshots(True)
    running = [each["metadata"]["name"] for each in find(VELERO, "backups.velero.io", LABEL)
               if phase(each) not in ENDED]
    if not (blind or running):
        return
    for backup in running:
        # Those that wait in the queue would start when the first one ends.
        if phase(get(VELERO, "backups.velero.io", backup)) != "InProgress":
            kubectl("-n", VELERO, "delete", "backups.velero.io", backup, "--ignore-not-found")
    for name in ("velero", "node-agent"):
        restart(name)
    for backup in running:
        forget_transfers(backup)
