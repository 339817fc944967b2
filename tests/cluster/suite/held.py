"""Velero, held in the middle of a backup for as long as a test wants."""

import json
from typing import Any

import volumes
from salvor import ClusterStack
from support import (BACKUP_SECONDS, ENDED, RUN, VELERO, ClusterTest, apply, backup_phase, get, kubectl, pods_of,
                     succeeds, wait_for)
from volumes import claim, pod, start, write

# A hook that holds Velero in the middle of a backup, for as long as a test wants.
HELD = "touch /tmp/asked; until [ -e /tmp/go ]; do sleep 1; done"
HOLD_SECONDS = 300


class Hold:
    """While it lasts, Velero does not end its backup of the namespace: a hook waits in the pod that uses the volume."""

    def __init__(self, space: str, stack: ClusterStack) -> None:
        self.space, self.stack = space, stack

    def __enter__(self) -> "Hold":
        return self

    def wait(self) -> str:
        """Until Velero's backup is held; gives its name."""
        wait_for("the backup to reach its hook", lambda: volumes.has_file(self.space, "user", "/tmp/asked"),
                 BACKUP_SECONDS, lambda: f"{self.phases()}, {pods_of(self.space)}")
        [name] = self.stack.velero_backups()
        return name

    def release(self) -> None:
        kubectl("-n", self.space, "exec", "user", "--", "touch", "/tmp/go")

    def phases(self) -> dict[str, str]:
        return {name: backup_phase(name) for name in self.stack.velero_backups()}

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        """Whatever happened: what is not over can't be deleted."""
        succeeds("-n", self.space, "exec", "user", "--", "touch", "/tmp/go")
        wait_for("Velero's backups to be over", lambda: set(self.phases().values()) <= set(ENDED), HOLD_SECONDS,
                 self.phases)


def held_space(test: ClusterTest, name: str) -> str:
    """A namespace with a volume, whose backup waits in its hook until it is released."""
    space = test.namespace(name)
    apply(space, claim("uploads"))
    write(space, "uploads", f"of-{RUN}")
    start(space, pod("user", "uploads", "exec sleep 3600", {
        "pre.hook.backup.velero.io/command": json.dumps(["sh", "-c", HELD]),
        "pre.hook.backup.velero.io/timeout": f"{HOLD_SECONDS}s"}))
    return space


def uid_of(backup: str) -> str:
    """"" where it is not there."""
    return (get(VELERO, "backups.velero.io", backup) or {}).get("metadata", {}).get("uid", "")
