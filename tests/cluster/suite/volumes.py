"""Claims with a word in them, written and read by pods that come and go."""

from typing import Any

from support import (GONE_SECONDS, LABEL, READY_SECONDS, RUN, Json, apply, find, get, kubectl, phase, pods_of, succeeds,
                     wait_for)

from bed.probes import condition
from bed.settings import CSI_DRIVER, STORAGE_CLASS

IMAGE = "salvor.test/busybox:1"
EMPTY = "empty"


def claim(name: str, storage_class: str = STORAGE_CLASS, **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "labels": labels},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class,
                     "resources": {"requests": {"storage": "64Mi"}}}}


def container(command: str, **more: Any) -> Json:
    return {"name": "main", "image": IMAGE, "command": ["sh", "-ec", command],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}], **more}


def pod(name: str, claim_name: str, command: str, annotations: dict[str, str] | None = None, **more: Any) -> Json:
    """More goes to its container."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                     "containers": [container(command, **more)],
                     "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]}}


def stateful_set(name: str) -> Json:
    """One pod, which makes its claim data-NAME-0 itself."""
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
            "spec": {"serviceName": name, "selector": {"matchLabels": labels}, "volumeClaimTemplates": [claim("data")],
                     "template": {"metadata": {"labels": labels}, "spec": {
                         "terminationGracePeriodSeconds": 0, "containers": [container("exec sleep 3600")]}}}}


def start(space: str, *pods: Json) -> None:
    apply(space, *pods)
    names = {each["metadata"]["name"] for each in pods}
    wait_for(f"{', '.join(sorted(names))} in {space} to be Ready", lambda: names <= {
        each["metadata"]["name"] for each in find(space, "pods") if condition(each, "Ready") == "True"}, READY_SECONDS,
        lambda: pods_of(space))


def run(space: str, claim_name: str, command: str) -> str:
    """The words of the command that runs beside the claim in /data. The pod is gone afterwards."""
    name = f"once-{claim_name}"
    apply(space, pod(name, claim_name, command))
    wait_for(f"pod {name} in {space} to end", lambda: phase(get(space, "pod", name)) in ("Succeeded", "Failed"),
             READY_SECONDS, lambda: (get(space, "pod", name) or {}).get("status"))
    said, ended = kubectl("-n", space, "logs", name).strip(), phase(get(space, "pod", name))
    kubectl("-n", space, "delete", "pod", name, f"--timeout={GONE_SECONDS}s", seconds=GONE_SECONDS + 10)
    if ended != "Succeeded":
        raise AssertionError(f"{command} beside claim {claim_name} of {space} failed: {said}")
    return said


def write(space: str, claim_name: str, word: str) -> None:
    run(space, claim_name, f"echo {word} > /data/word; sync")


def read(space: str, claim_name: str) -> str:
    """The word, or 'empty' if there is no file at all."""
    return run(space, claim_name, f"if [ -e /data/word ]; then cat /data/word; else ls -A /data | "
                                  f"grep -v '^.velero$' || echo {EMPTY}; fi")


def volume_of(space: str, claim_name: str) -> str:
    return (get(space, "persistentvolumeclaim", claim_name) or {})["spec"].get("volumeName", "")


def retaining_class() -> Json:
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": f"suite-retain-{RUN}", "labels": {LABEL: RUN}}, "provisioner": CSI_DRIVER,
            "reclaimPolicy": "Retain", "volumeBindingMode": "Immediate"}


def volume_phase(volume: str) -> str:
    return phase(get("default", "persistentvolume", volume))


def delete_volumes(storage_class: str) -> None:
    """Deletes the volumes of a class that retains them: told to delete, released ones go with their disks."""
    def left() -> list[str]:
        return [each["metadata"]["name"] for each in find("default", "persistentvolumes")
                if each["spec"].get("storageClassName") == storage_class]
    for volume in left():
        kubectl("patch", "persistentvolume", volume, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}')
    wait_for(f"the volumes of {storage_class} to be deleted", lambda: not left(), GONE_SECONDS,
             lambda: [(volume, volume_phase(volume)) for volume in left()])


def has_file(space: str, name: str, path: str) -> bool:
    return succeeds("-n", space, "exec", name, "--", "test", "-e", path)
