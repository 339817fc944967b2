"""Velero's known lies and falls, provoked: where its word and the truth part, and what mends it.

Salvor is judged by how it tells these apart. A test that fails here says that Velero has changed."""

import json
import unittest

import volumes
from mending import forget_transfers, restart, serve_snapshots
from support import (BACKUP_SECONDS, GONE_SECONDS, OBJECTS, READY_SECONDS, RUN, VELERO, ClusterTest, Json, apply,
                     backup_phase, delete_namespace, find, get, hold, kubectl, phase, pods_of, reach, stored,
                     volume_info, wait_for, wait_until_ready)
from volumes import EMPTY, claim, pod, read, retaining_class, start, volume_of, write

from bed.probes import condition

FILES = ("--default-volumes-to-fs-backup", "--snapshot-volumes=false")
RUNNING = "InProgress"
IDLE = "exec sleep 3600"
WORD = f"of-{RUN}"
# Long enough to tell a hang from a slow backup: this one takes a few seconds when nothing is wrong.
HANG_SECONDS = 45
LEAK_SECONDS = 20


def warnings_and_errors(backup: str) -> tuple[int, int]:
    status = (get(VELERO, "backups.velero.io", backup) or {})["status"]
    return status.get("warnings", 0), status.get("errors", 0)


def pod_volume_backups(backup: str) -> list[Json]:
    return find(VELERO, "podvolumebackups", f"velero.io/backup-name={backup}")


def transfers(backup: str) -> list[str]:
    """Their phases."""
    return [phase(each) for each in pod_volume_backups(backup)]


class SkippedUnderCompleted(ClusterTest):
    def test_an_unmounted_volume_is_skipped_in_silence(self):
        space = self.namespace("unmounted")
        apply(space, claim("mounted"), claim("unmounted"))
        for name in ("mounted", "unmounted"):
            write(space, name, WORD)
        start(space, pod("user", "mounted", IDLE))
        backup = self.back_up("unmounted", space, *FILES)
        self.assertEqual(warnings_and_errors(backup), (0, 0))
        saved = volume_info(backup)
        self.assertEqual(saved["mounted"]["backupMethod"], "PodVolumeBackup")
        # The only place that tells the truth.
        self.assertTrue(saved["unmounted"]["skipped"])
        self.assertTrue(saved["unmounted"]["skippedReason"])
        delete_namespace(space)
        self.restore("unmounted", backup)
        self.assertEqual(read(space, "unmounted"), EMPTY)
        self.assertEqual(kubectl("-n", space, "exec", "user", "--", "cat", "/data/word").strip(), WORD)


class ClosedVolume(ClusterTest):
    """Velero lets a pod wait for its files by a container that looks for a mark in the volume's root. It runs as
    nobody special, and a root that is its owner's alone, as PostgreSQL makes its folder, it may not enter."""

    def test_a_pod_waits_for_ever_for_files_that_are_restored(self):
        space = self.namespace("closed")
        owner = {"runAsUser": 1234}
        apply(space, claim("closed"), claim("told"))
        for name in ("closed", "told"):
            write(space, name, WORD)
            volumes.run(space, name, "chown -R 1234 /data; chmod 700 /data")
        # That container runs as the pod's first one, if that says as whom.
        start(space, pod("closed", "closed", IDLE), pod("told", "told", IDLE, securityContext=owner))
        backup = self.back_up("closed", space, *FILES)
        delete_namespace(space)
        self.restore("closed", backup)
        wait_for("pod told to be Ready", lambda: condition(get(space, "pod", "told"), "Ready") == "True", READY_SECONDS,
                 lambda: pods_of(space))
        hold("the pod", lambda: phase(get(space, "pod", "closed")), "Pending", LEAK_SECONDS)
        said = kubectl("-n", space, "logs", "closed", "-c", "restore-wait", "--tail=1")
        self.assertIn("permission denied", said)
        # Nothing is missing but the mark's reader.
        self.assertEqual([read(space, name) for name in ("closed", "told")], [WORD, WORD])


class SkippedByPolicy(ClusterTest):
    """Three claims that a policy skips come back in three ways, and Velero says Completed to each."""

    def setUp(self) -> None:
        policies = f"skip-{RUN}"
        self.addCleanup(kubectl, "-n", VELERO, "delete", "configmap", policies, "--ignore-not-found")
        kubectl("-n", VELERO, "create", "configmap", policies, f"--from-file={OBJECTS / 'policy-skip.yaml'}")
        self.policy = ("--resource-policies-configmap", policies)
        self.retain = retaining_class()["metadata"]["name"]
        apply(VELERO, retaining_class())
        self.addCleanup(kubectl, "delete", "storageclass", self.retain)
        self.addCleanup(volumes.delete_volumes, self.retain)

    def skipped(self, name: str, storage_class: str) -> tuple[str, str, str]:
        """A namespace, its backup and the volume that is not in it; the namespace is gone."""
        space = self.namespace(name)
        apply(space, claim("data", storage_class, keep="no"))
        write(space, "data", WORD)
        volume = volume_of(space, "data")
        backup = self.back_up(name, space, *self.policy)
        self.assertEqual(warnings_and_errors(backup), (0, 0))
        saved = volume_info(backup)["data"]
        self.assertTrue(saved["skipped"])
        self.assertIn("resource policy", saved["skippedReason"])
        delete_namespace(space)
        return space, backup, volume

    def test_reclaim_delete_gives_an_empty_volume(self):
        space, backup, _ = self.skipped("skip-delete", volumes.STORAGE_CLASS)
        self.restore("skip-delete", backup)
        self.assertEqual(read(space, "data"), EMPTY)

    def test_reclaim_retain_leaves_the_claim_pending(self):
        space, backup, volume = self.skipped("skip-retain", self.retain)
        self.assertEqual(volumes.volume_phase(volume), "Released")
        self.restore("skip-retain", backup)
        hold("the claim", lambda: phase(get(space, "persistentvolumeclaim", "data")), "Pending", LEAK_SECONDS)
        self.assertEqual(volume_of(space, "data"), volume)
        self.assertEqual(volumes.volume_phase(volume), "Released")

    def test_a_retained_disk_without_its_volume_object_is_attached_again(self):
        space, backup, volume = self.skipped("skip-orphan", self.retain)
        kubectl("delete", "persistentvolume", volume, f"--timeout={GONE_SECONDS}s", seconds=GONE_SECONDS + 10)
        self.restore("skip-orphan", backup)
        self.assertEqual(read(space, "data"), WORD)
        self.assertEqual(volume_of(space, "data"), volume)


class VeleroRestarts(ClusterTest):
    def test_a_restart_fails_the_running_backup_and_a_new_one_completes(self):
        space = self.namespace("restart")
        apply(space, claim("data"))
        write(space, "data", WORD)
        # A hook that takes its time once: so the backup is certainly under way when Velero dies.
        slow_once = "[ -e /tmp/asked ] || { touch /tmp/asked; sleep 300; }"
        start(space, pod("user", "data", IDLE, {
            "pre.hook.backup.velero.io/command": json.dumps(["sh", "-c", slow_once]),
            "pre.hook.backup.velero.io/timeout": "300s"}))
        first = self.start_backup("restart-first", space, *FILES)
        wait_for("the backup to reach its hook", lambda: volumes.has_file(space, "user", "/tmp/asked"), BACKUP_SECONDS,
                 lambda: f"the backup {backup_phase(first)}, {pods_of(space)}")
        self.assertEqual(backup_phase(first), RUNNING)
        restart("velero")
        second = self.start_backup("restart-second", space, *FILES)
        self.assertEqual(self.wait_for_backup(first), "Failed")
        reason = (get(VELERO, "backups.velero.io", first) or {})["status"]["failureReason"]
        self.assertIn("found a backup with status \"InProgress\" during the server starting", reason)
        self.assertEqual(stored(f"backups/{first}/"), [], "a backup that failed so left something in the object store")
        self.assertEqual(self.wait_for_backup(second), "Completed")
        self.assertEqual(volume_info(second)["data"]["backupMethod"], "PodVolumeBackup")


class DataPathPodDies(ClusterTest):
    def setUp(self) -> None:
        # Whatever happens, the queue is free afterwards.
        self.addCleanup(restart, "node-agent")
        self.addCleanup(restart, "velero")

    def hanging_backup(self, space: str) -> str:
        """A backup whose data path died in mid-transfer."""
        backup = f"hang-{RUN}"
        self.addCleanup(forget_transfers, backup)
        self.start_backup("hang", space, *FILES)
        transfer = wait_for("the transfer to run", lambda: next(
            (each for each in pod_volume_backups(backup) if phase(each) == RUNNING), None), BACKUP_SECONDS,
            lambda: transfers(backup))
        kubectl("-n", VELERO, "delete", "pod", transfer["metadata"]["name"], "--force", "--grace-period=0",
                f"--timeout={GONE_SECONDS}s", seconds=GONE_SECONDS + 10)
        self.assertEqual(transfers(backup), [RUNNING])
        return backup

    def test_the_queue_hangs_until_velero_and_then_node_agent_are_restarted(self):
        space = self.namespace("hang")
        apply(space, claim("data"))
        # A hole of 20 GB: nothing to write, long to read.
        volumes.run(space, "data", "truncate -s 20G /data/hole")
        start(space, pod("user", "data", IDLE))
        backup = self.hanging_backup(space)
        kubectl("-n", space, "exec", "user", "--", "rm", "/data/hole")
        following = self.start_backup("hang-next", space, *FILES)
        reach("the next backup", lambda: backup_phase(following), "Queued", READY_SECONDS)
        hold("the backup, its transfer and the next backup",
             lambda: (backup_phase(backup), transfers(backup), backup_phase(following)),
             (RUNNING, [RUNNING], "Queued"), HANG_SECONDS)
        restart("velero")
        self.assertEqual(self.wait_for_backup(backup), "Failed")
        # The queue moves, but node-agent still counts the dead transfer as its one running.
        reach("the next transfer", lambda: transfers(following), ["Prepared"], BACKUP_SECONDS)
        hold("the dead transfer and the next one", lambda: transfers(backup) + transfers(following),
             ["Canceling", "Prepared"], LEAK_SECONDS)
        restart("node-agent")
        self.assertEqual(self.wait_for_backup(following), "Completed")
        self.assertEqual(volume_info(following)["data"]["backupMethod"], "PodVolumeBackup")
        # Nobody ends it: neither restart has cancelled it.
        self.assertEqual(transfers(backup), ["Canceling"])


class VeleroWithoutSnapshotResources(ClusterTest):
    """Last, for it takes the kinds of snapshots away for a while."""

    def mend(self) -> None:
        serve_snapshots(True)
        restart("velero")

    def test_the_claim_is_not_in_the_backup_and_its_owner_makes_an_empty_one(self):
        space = self.namespace("unknown")
        apply(space, claim("bare"), volumes.stateful_set("owner"))
        write(space, "bare", WORD)
        wait_until_ready(space, "statefulset/owner")
        kubectl("-n", space, "exec", "owner-0", "--", "sh", "-c", f"echo {WORD} > /data/word; sync")
        self.addCleanup(self.mend)
        serve_snapshots(False)
        restart("velero")
        serve_snapshots(True)
        backup = self.start_backup("unknown", space)
        self.assertEqual(self.wait_for_backup(backup), "PartiallyFailed")
        delete_namespace(space)
        self.restore("unknown", backup)
        self.assertIsNone(get(space, "persistentvolumeclaim", "bare"), "the claim was restored")
        wait_until_ready(space, "statefulset/owner")
        self.assertEqual(read(space, "data-owner-0"), EMPTY)


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str) -> unittest.TestSuite:
    """Runs the tests in the order of this file."""
    classes = (SkippedUnderCompleted, SkippedByPolicy, ClosedVolume, VeleroRestarts, DataPathPodDies,
               VeleroWithoutSnapshotResources)
    return unittest.TestSuite(loader.loadTestsFromTestCase(each) for each in classes)


if __name__ == "__main__":
    unittest.main()
