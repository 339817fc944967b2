"""Salvor backs up a namespace through the real Velero, and says the truth about what is in the backup."""

import json
import unittest

import volumes
from mending import restart
from salvor import ClusterStack
from support import BACKUP_SECONDS, RUN, ClusterTest, apply, backup_phase, pods_of, volume_info, wait_for
from volumes import claim, pod, start, write

WORD = f"of-{RUN}"
IDLE = "exec sleep 3600"


class OneNamespace(ClusterTest):
    def space_with(self, name: str, *claims: str, mounted: bool = True) -> str:
        space = self.namespace(name)
        # A label of its own for each, so that each can be kept in a way of its own.
        apply(space, *(claim(each, volume=each) for each in claims))
        for each in claims:
            write(space, each, WORD)
        if mounted:
            start(space, *(pod(f"uses-{each}", each, IDLE) for each in claims))
        return space

    def back_up_by(self, name: str, method: str, saved: dict[str, object]) -> None:
        space = self.space_with(name, "uploads")
        with ClusterStack(space, {"uploads": method}) as stack:
            done = stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            self.assertIn("complete", done.stdout)
            backup = stack.backup()
            self.assertEqual(backup["coverage"].upper(), "COMPLETE")
            [made] = stack.velero_backups()
            [artifact] = [each for each in backup["manifest"]["artifacts"] if each.get("velero")]
            self.assertEqual((artifact["velero"]["backup"], artifact["velero"]["claim"]), (made, "uploads"))
            self.assertTrue(artifact["velero"]["snapshotHandle"])
            info = volume_info(made)["uploads"]
            self.assertEqual(info | saved, info)
            self.assertEqual(backup["manifest"]["velero"][0]["phase"], "Completed")

    def test_a_volume_by_its_files(self):
        self.back_up_by("salvor-files", "FileSystem", {"backupMethod": "PodVolumeBackup"})

    def test_a_volume_by_a_snapshot(self):
        self.back_up_by("salvor-snapshot", "Snapshot", {"backupMethod": "CSISnapshot", "snapshotDataMoved": False})

    def test_a_volume_by_a_snapshot_that_is_moved(self):
        self.back_up_by("salvor-moved", "SnapshotMoved", {"backupMethod": "CSISnapshot", "snapshotDataMoved": True})

    def test_two_volumes_each_in_its_way_and_a_third_that_nobody_named(self):
        space = self.space_with("salvor-ways", "uploads", "cache", "spare")
        with ClusterStack(space, {"uploads": "FileSystem", "cache": "Snapshot"}) as stack:
            stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            saved = volume_info(stack.velero_backups()[0])
            self.assertEqual(saved["uploads"]["backupMethod"], "PodVolumeBackup")
            self.assertEqual(saved["cache"]["backupMethod"], "CSISnapshot")
            self.assertTrue(saved["spare"]["skipped"])
            backup = stack.backup()
            self.assertEqual(backup["coverage"].upper(), "COMPLETE")
            self.assertIn(f"{space}/spare", " ".join(backup["manifest"]["warnings"]))

    def test_a_volume_that_no_pod_mounts_is_refused_before_anything_is_made(self):
        space = self.space_with("salvor-unmounted", "uploads", mounted=False)
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            done = stack.cli("backup", "create", "shop", "--wait", check=False, timeout=BACKUP_SECONDS)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("is mounted by no running pod", done.stdout + done.stderr)
            self.assertEqual(stack.velero_backups(), [])


class VeleroRestarts(ClusterTest):
    def test_a_restart_in_mid_backup_costs_another_backup_of_the_same_run(self):
        space = self.namespace("salvor-restart")
        apply(space, claim("uploads"))
        write(space, "uploads", WORD)
        # A hook that takes its time once: so the backup is certainly under way when Velero dies.
        slow_once = "[ -e /tmp/asked ] || { touch /tmp/asked; sleep 300; }"
        start(space, pod("user", "uploads", IDLE, {
            "pre.hook.backup.velero.io/command": json.dumps(["sh", "-c", slow_once]),
            "pre.hook.backup.velero.io/timeout": "300s"}))
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            run = stack.start_run("backup", "create", "shop")
            wait_for("the backup to reach its hook", lambda: volumes.has_file(space, "user", "/tmp/asked"), BACKUP_SECONDS,
                     lambda: f"{[backup_phase(each) for each in stack.velero_backups()]}, {pods_of(space)}")
            restart("velero")
            self.assertEqual(stack.outcome(run), "SUCCEEDED")
            phases = {each: backup_phase(each) for each in stack.velero_backups()}
            [dead] = [name for name, phase in phases.items() if phase == "Failed"]
            self.assertEqual(phases, {dead: "Failed", f"{dead}-2": "Completed"})
            self.assertEqual(stack.backup()["manifest"]["velero"][0]["backup"], f"{dead}-2")


if __name__ == "__main__":
    unittest.main()
