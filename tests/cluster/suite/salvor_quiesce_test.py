"""Salvor holds an application still while Velero makes its snapshots, and lets it go on every path."""

import json
import unittest

import volumes
from salvor import ClusterStack
from support import BACKUP_SECONDS, ENDED, VELERO, ClusterTest, apply, backup_phase, find, pods_of, wait_for
from volumes import claim, pod, start, write

# While it is held still, a file says so beside the volume, and one in it: what is kept has the second one.
HOLD = ["sh", "-c", "touch /data/held; touch /tmp/held"]
RELEASE = ["rm", "-f", "/data/held", "/tmp/held"]
IDLE = "exec sleep 3600"
SOON = 20  # seconds in which a pod notices that nobody holds it any longer


class HeldStack(ClusterStack):
    def __init__(self, space: str, method: str, deadline: str) -> None:
        super().__init__(space, {"uploads": method})
        self.quiesce = json.dumps({"command": HOLD, "release": RELEASE, "deadline": deadline})

    def declaration(self, **replace: object) -> str:
        return super().declaration(**replace).replace("{name: uploads,", f"{{name: uploads, quiesce: {self.quiesce},")


def slow(seconds: int) -> dict[str, str]:
    """Velero takes so long before it makes the first backup of a pod, in which nothing else is slow."""
    once = f"[ -e /tmp/asked ] || {{ touch /tmp/asked; sleep {seconds}; }}"
    return {"pre.hook.backup.velero.io/command": json.dumps(["sh", "-c", once]),
            "pre.hook.backup.velero.io/timeout": f"{seconds + 30}s"}


class Quiesce(ClusterTest):
    def space_with(self, name: str, annotations: dict[str, str] | None = None) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"))
        write(space, "uploads", "kept")
        start(space, pod("user", "uploads", IDLE, annotations))
        return space

    def is_held(self, space: str) -> bool:
        return volumes.has_file(space, "user", "/tmp/held")

    def await_held(self, stack: HeldStack) -> None:
        wait_for("the pod to be held still while Velero works",
                 lambda: self.is_held(stack.space) and volumes.has_file(stack.space, "user", "/tmp/asked"),
                 BACKUP_SECONDS, lambda: pods_of(stack.space))

    def given_up(self, space: str) -> list[str]:
        return [each["metadata"]["name"] for each in find(VELERO, "backups.velero.io", "salvor.dev/run")
                if each["spec"].get("includedNamespaces") == [space]
                and "salvor.dev/given-up" in each["metadata"].get("annotations", {})]

    def test_what_is_kept_is_of_a_pod_that_was_held_still(self):
        space, copy = self.space_with("salvor-held"), self.namespace("salvor-held-copy")
        with HeldStack(space, "Snapshot", "60s") as stack:
            done = stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            self.assertIn("complete", done.stdout)
            self.assertFalse(self.is_held(space))
            [held] = stack.backup()["manifest"]["velero"][0]["heldPods"]
            self.assertEqual((held["component"], held["pod"]), ("uploads", "user"))
            stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", copy, "--wait",
                      timeout=BACKUP_SECONDS)
            self.assertTrue(volumes.has_file(copy, "user", "/data/held"), "the snapshot was made while it was held")

    def test_an_agent_that_is_killed_holds_nobody(self):
        space = self.space_with("salvor-held-killed", slow(40))
        with HeldStack(space, "FileSystem", "10m") as stack:
            run = stack.start_run("backup", "create", "shop")
            self.await_held(stack)
            stack.kill_agent()
            wait_for("the pod to be let go, though nobody is there to order it", lambda: not self.is_held(space), SOON,
                     lambda: pods_of(space))
            stack.start_agent()
            self.assertEqual(stack.outcome(run, 2 * BACKUP_SECONDS), "SUCCEEDED")
            self.assertFalse(self.is_held(space))
            [first] = self.given_up(space)
            self.assertEqual(stack.backup()["manifest"]["velero"][0]["backup"], f"{first}-2")

    def test_a_deadline_that_comes_first_leaves_no_backup(self):
        space = self.space_with("salvor-held-late", slow(40))
        with HeldStack(space, "FileSystem", "8s") as stack:
            done = stack.cli("backup", "create", "shop", "--wait", check=False, timeout=BACKUP_SECONDS)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("was let go at its deadline", done.stdout + done.stderr)
            self.assertFalse(self.is_held(space))
            self.assertEqual(len(self.given_up(space)), 1)

    def test_a_run_that_is_cancelled_lets_go(self):
        space = self.space_with("salvor-held-cancel", slow(40))
        with HeldStack(space, "FileSystem", "10m") as stack:
            run = stack.start_run("backup", "create", "shop")
            self.await_held(stack)
            stack.cli("run", "cancel", run)
            wait_for("the pod to be let go", lambda: not self.is_held(space), SOON, lambda: pods_of(space))
            self.assertEqual(stack.outcome(run, BACKUP_SECONDS), "CANCELLED")
            # Velero goes on with it; one that is deleted meanwhile keeps all others waiting.
            wait_for("Velero to end", lambda: {backup_phase(each) for each in stack.velero_backups()} <= set(ENDED),
                     BACKUP_SECONDS, stack.velero_backups)


if __name__ == "__main__":
    unittest.main()
