"""Salvor deletes a backup of a namespace through the real Velero: what it kept is gone, and its neighbour is whole."""

import unittest
from pathlib import Path

from salvor import ClusterStack
from support import (BACKUP_SECONDS, RESTORE_SECONDS, RUN, VELERO, ClusterTest, apply, find, get, kubectl, phase, pods_of,
                     stored, wait_for)
from volumes import claim, pod, start, write

from bed.settings import VOLUMES

WORD = f"of-{RUN}"
IDLE = "exec sleep 3600"


def handle_in(stack: ClusterStack, backup: str) -> str:
    [artifact] = [each for each in stack.backup(backup)["manifest"]["artifacts"] if each.get("velero")]
    return artifact["velero"]["snapshotHandle"]


def snapshot(handle: str) -> Path:
    """Where the bed's driver keeps a snapshot."""
    return VOLUMES / "snapshots" / handle


class Deletes(ClusterTest):
    def space_with(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"))
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", IDLE))
        return space

    def back_up(self, stack: ClusterStack) -> tuple[str, str]:
        """The names of a new backup, Salvor's and Velero's."""
        before = set(stack.velero_backups())
        stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
        self.assertEqual(stack.backup()["coverage"], "Complete", stack.backup().get("reason"))
        [made] = set(stack.velero_backups()) - before
        return stack.backup()["name"], made

    def delete(self, stack: ClusterStack, name: str) -> None:
        done = stack.cli("backup", "delete", name, "--yes", "--wait", timeout=BACKUP_SECONDS)
        self.assertIn("complete", done.stdout)
        self.assertEqual(stack.backup(name)["deletion"]["state"], "Deleted")

    def check_gone(self, made: str) -> None:
        self.assertIsNone(get(VELERO, "backups.velero.io", made))
        self.assertIsNone(get(VELERO, "configmap", made))
        self.assertEqual(find(VELERO, "podvolumebackups.velero.io", f"velero.io/backup-name={made}"), [])
        self.assertEqual(find(VELERO, "deletebackuprequests.velero.io", f"velero.io/backup-name={made}"), [])
        self.assertEqual(stored(f"backups/{made}/"), [])

    def one_of_two_by(self, name: str, method: str) -> None:
        space, target = self.space_with(name), self.namespace(f"{name}-copy")
        with ClusterStack(space, {"uploads": method}) as stack:
            first, made = self.back_up(stack)
            second, kept = self.back_up(stack)
            gone, stays = handle_in(stack, first), handle_in(stack, second)
            if method == "Snapshot":
                self.assertTrue(snapshot(gone).exists())
            self.delete(stack, first)
            self.check_gone(made)
            self.assertEqual(stack.velero_backups(), [kept])
            self.assertEqual(stack.snapshots(f"backup={first}"), [])
            if method == "Snapshot":
                self.assertFalse(snapshot(gone).exists(), "the snapshot went with its backup")
                self.assertTrue(snapshot(stays).exists())
            run = stack.start_run("restore", "create", "--backup", second, "--to", "shop", "--namespace", target)
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            wait_for("the restored pod to run", lambda: phase(get(target, "pod", "user")) == "Running", RESTORE_SECONDS,
                     lambda: pods_of(target))
            self.assertEqual(kubectl("-n", target, "exec", "user", "--", "cat", "/data/word").strip(), WORD)

    def test_one_of_two_kept_by_their_files(self):
        self.one_of_two_by("salvor-delete-files", "FileSystem")

    def test_one_of_two_kept_by_snapshots(self):
        self.one_of_two_by("salvor-delete-snapshot", "Snapshot")

    def test_one_that_somebody_else_deleted_is_said_and_its_policy_goes(self):
        space = self.space_with("salvor-delete-gone")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            first, made = self.back_up(stack)
            self.back_up(stack)
            kubectl("-n", VELERO, "create", "-f", "-", text=f"""
apiVersion: velero.io/v1
kind: DeleteBackupRequest
metadata: {{generateName: {made}-}}
spec: {{backupName: {made}}}
""")
            wait_for("Velero's backup to be gone", lambda: get(VELERO, "backups.velero.io", made) is None, BACKUP_SECONDS,
                     lambda: find(VELERO, "deletebackuprequests", f"velero.io/backup-name={made}"))
            self.assertIsNotNone(get(VELERO, "configmap", made), "Velero leaves the policy")
            done = stack.cli("backup", "delete", first, "--yes", "--wait", timeout=BACKUP_SECONDS)
            self.assertIn(f"Velero has no backup {made}", " ".join(done.stdout.split()))
            self.check_gone(made)

    def test_one_that_carries_another_environments_label_stays(self):
        space = self.space_with("salvor-delete-other")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            first, made = self.back_up(stack)
            self.back_up(stack)
            kubectl("-n", VELERO, "label", "backups.velero.io", made, "salvor.dev/environment=another", "--overwrite")
            done = stack.cli("backup", "delete", first, "--yes", "--wait", check=False, timeout=BACKUP_SECONDS)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("was made by environment another", " ".join((done.stdout + done.stderr).split()))
            self.assertEqual(phase(get(VELERO, "backups.velero.io", made)), "Completed")
            self.assertNotIn("deletion", stack.backup(first), "it was refused while nothing was gone")
            self.assertEqual(len(stack.snapshots("salvor,kind=manifest")), 2)
            # Once it is mended the same command deletes it.
            kubectl("-n", VELERO, "label", "backups.velero.io", made, "salvor.dev/environment=local", "--overwrite")
            self.delete(stack, first)
            self.check_gone(made)

    def test_an_agent_that_is_killed_goes_on(self):
        space = self.space_with("salvor-delete-killed")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            first, made = self.back_up(stack)
            self.back_up(stack)
            run = stack.start_run("backup", "delete", first, "--yes")
            stack.wait_for_step(run, "volumes.delete", "RUNNING", "SUCCEEDED")
            stack.kill_agent()
            stack.start_agent()
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.check_gone(made)


if __name__ == "__main__":
    unittest.main()
