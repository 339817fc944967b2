"""Another cluster's Velero: a second one, in a namespace of its own, that sees the first one's bucket and only reads it.

Both share one API server, so what differs between clusters (nodes, classes, versions) is not shown by it."""

import copy

from support import (GONE_SECONDS, READY_SECONDS, VELERO, Json, apply, find, get, kubectl, phase, wait_for,
                     wait_until_ready)

# How often it looks for Backups that are new in the bucket; Velero's own is a minute.
SYNC = "5s"


def _moved(kind: str, name: str, space: str) -> Json:
    """An object of the first Velero as it is made in another namespace."""
    found = get(VELERO, kind, name)
    assert found, f"{VELERO} has no {kind} {name}"
    return {"apiVersion": found["apiVersion"], "kind": found["kind"],
            "metadata": {"name": name, "labels": found["metadata"].get("labels", {})},
            **{key: copy.deepcopy(value) for key, value in found.items() if key in ("spec", "data", "type")}}


class SecondVelero:
    """Use as a context manager; the namespace is made and removed by it."""

    def __init__(self, space: str, access: str = "ReadOnly") -> None:
        self.space, self.access = space, access

    def __enter__(self) -> "SecondVelero":
        try:
            kubectl("create", "namespace", self.space)
            kubectl("create", "clusterrolebinding", self.space, "--clusterrole=cluster-admin",
                    f"--serviceaccount={self.space}:velero")
            location = _moved("backupstoragelocation", "default", self.space)
            location["spec"] |= {"accessMode": self.access, "backupSyncPeriod": SYNC}
            apply(self.space, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "velero"}},
                  _moved("secret", "cloud-credentials", self.space), location,
                  _moved("deployment", "velero", self.space), _moved("daemonset", "node-agent", self.space))
            wait_until_ready(self.space, "deployment/velero")
            wait_until_ready(self.space, "daemonset/node-agent")
            wait_for("the second Velero's location", lambda: phase(self.location()) == "Available", READY_SECONDS,
                     self.location)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Its Restores go while it lives: it alone takes off their finalizers."""
        kubectl("-n", self.space, "delete", "restores.velero.io", "--all", "--wait=false")
        wait_for(f"no Restore in {self.space}", lambda: not self.restores(), GONE_SECONDS,
                 lambda: [each["metadata"] for each in self.restores()])
        kubectl("delete", "namespace", self.space, "--ignore-not-found", "--wait=false")
        wait_for(f"namespace {self.space} to be gone", lambda: not get("default", "namespace", self.space), GONE_SECONDS,
                 lambda: (get("default", "namespace", self.space) or {}).get("status"))
        kubectl("delete", "clusterrolebinding", self.space, "--ignore-not-found")

    def location(self) -> Json | None:
        return get(self.space, "backupstoragelocation", "default")

    def look_no_more(self) -> None:
        """Backups that are made from now on stay unseen."""
        kubectl("-n", self.space, "patch", "backupstoragelocation", "default", "--type=merge",
                "-p", '{"spec": {"backupSyncPeriod": "0s"}}')

    def wait_until_it_sees(self, backup: str, seconds: float) -> None:
        wait_for(f"the second Velero to see {backup}", lambda: get(self.space, "backups.velero.io", backup), seconds,
                 lambda: [each["metadata"]["name"] for each in find(self.space, "backups.velero.io")])

    def restores(self) -> list[Json]:
        return find(self.space, "restores.velero.io")
