"""The thin thread: a namespace with a volume is backed up as one operation, and stays one when anybody is killed.

By real programs beside the real Velero; salvor_backup_test has the ways of keeping a volume, salvor_deploy_test Salvor
inside of the cluster."""

import json
import unittest
from datetime import datetime, timezone
from typing import Any

import volumes
from buckets import credentials, make_bucket, objects_in, remove_bucket, repository_in
from held import Hold, held_space, uid_of
from salvor import ClusterStack, shown
from support import (BACKUP_SECONDS, ENDED, RUN, VELERO, ClusterTest, Json, apply, backup_phase, delete_namespace, get,
                     kubectl, phase, pods_of, stored, wait_for)
from volumes import claim, pod, start, write

WORD = f"of-{RUN}"
MEBIBYTE = 1 << 20
# What the pod that uses the volume does: it writes something that cannot be made again, and idles.
IDLE = "exec sleep 3600"
USE = f"[ -e /data/word ] || {{ head -c {MEBIBYTE} /dev/urandom > /data/blob; echo {WORD} > /data/word; }}; {IDLE}"
BESIDE = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": WORD}},
          {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"word": WORD}}]
SECOND = """
apiVersion: salvor.dev/v1
kind: Application
metadata: {name: wiki}
spec:
  environment: local
  namespace: %s
  components:
  - {name: uploads, disk: {claims: [uploads], method: FileSystem}}
"""


class S3Stack(ClusterStack):
    """With its repository in the bed's object store. In a bucket of its own, for Velero's location has no prefix there,
    and a folder that Velero does not know makes it unavailable. Salvor makes the repository itself."""

    def __init__(self, space: str, claims: dict[str, str]) -> None:
        super().__init__(space, claims)
        self.bucket = make_bucket("salvor")
        self.repository = repository_in(self.bucket)
        self.keys = self.dir / "vault.environment"
        self.agent_options += ["--allow-environment-file", str(self.keys)]

    def _make_repository(self) -> None:
        self.keys.write_text(credentials())
        self.keys.chmod(0o600)

    def declaration(self, **replace: Any) -> str:
        return super().declaration(**replace).replace("passwordFile:", f'environmentFile: "{self.keys}", passwordFile:')

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            super().__exit__(kind, value, trace)
        finally:
            remove_bucket(self.bucket)


class ThinThread(ClusterTest):
    def space_in_use(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"), *BESIDE)
        start(space, pod("user", "uploads", USE))
        wait_for("the volume to be written", lambda: volumes.has_file(space, "user", "/data/word"), BACKUP_SECONDS,
                 lambda: pods_of(space))
        return space

    def check_velero(self, made: Json, space: str, backup: Json) -> None:
        self.assertEqual(phase(made), "Completed")
        self.assertEqual(made["spec"]["includedNamespaces"], [space])
        labels = made["metadata"]["labels"]
        self.assertEqual({key: value for key, value in labels.items() if key.startswith("salvor.dev/")},
                         {"salvor.dev/run": backup["run"], "salvor.dev/backup": backup["name"],
                          "salvor.dev/application": "shop", "salvor.dev/environment": "local"})
        # Velero deletes what its time is over of, be it the last good backup: it has the longest there is.
        self.assertEqual(made["spec"]["ttl"], "876000h0m0s")
        until = datetime.fromisoformat(made["status"]["expiration"])
        self.assertGreater((until - datetime.now(timezone.utc)).days, 90 * 365)

    def test_a_namespace_is_backed_up_as_one_operation(self):
        space = self.space_in_use("salvor-thin")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            done = stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            self.assertIn("complete", done.stdout)
            backup = stack.backup()
            self.assertEqual(backup["coverage"], "Complete", backup.get("reason"))
            [made] = stack.velero_backups()
            self.check_velero(get(VELERO, "backups.velero.io", made) or {}, space, backup)
            manifest = backup["manifest"]
            [volume] = [each for each in manifest["artifacts"] if each.get("velero")]
            self.assertEqual((volume["component"], volume["velero"]["namespace"], volume["velero"]["claim"],
                              volume["velero"]["method"]), ("uploads", space, "uploads", "FileSystem"))
            self.assertGreaterEqual(volume["bytes"], MEBIBYTE)
            [report] = manifest["velero"]
            self.assertEqual((report["backup"], report["phase"]), (made, "Completed"))
            kinds = {each["kind"]: each["objects"] for each in report["kinds"]}
            self.assertLessEqual({"v1/Secret", "v1/ConfigMap", "v1/PersistentVolumeClaim", "v1/Pod"}, set(kinds))
            self.assertEqual(sum(kinds.values()), report["objects"])
            shown = " ".join(stack.cli("backup", "show", "latest:shop").stdout.split())
            self.assertIn(f"volume uploads of {space}, file-system backup", shown)
            self.check_repository(stack, made)
            self.assertIn('salvor_velero_volumes_total{application="shop",outcome="covered"} 1\n', stack.metrics("agent"))

    def check_repository(self, stack: ClusterStack, made: str) -> None:
        """Who has the repository alone learns from it which of Velero's backups has the data."""
        [snapshot] = stack.snapshots("salvor,kind=manifest")
        kept = json.loads(stack.restic("dump", snapshot["id"], snapshot["paths"][0]).stdout)
        self.assertEqual([each["backup"] for each in kept["velero"]], [made])
        self.assertEqual([(each["velero"]["backup"], each["keeper"]) for each in kept["artifacts"]],
                         [(made, "KEEPER_VELERO")])

    def test_a_claim_that_no_pod_mounts_is_named_and_the_backup_is_not_called_complete(self):
        space = self.space_in_use("salvor-attic")
        apply(space, claim("attic", kept="attic"))
        write(space, "attic", WORD)
        with ClusterStack(space, {"uploads": "FileSystem", "attic": "FileSystem"}) as stack:
            done = stack.cli("backup", "create", "shop", "--wait", check=False, timeout=BACKUP_SECONDS)
            self.assertIn(done.returncode, (1, 3), done.stdout + done.stderr)
            self.assertIn(f"{space}/attic is mounted by no running pod", " ".join((done.stdout + done.stderr).split()))
            made = json.loads(stack.cli("backup", "list", "-o", "json").stdout)["items"]
            self.assertEqual([each["name"] for each in made if each.get("coverage") == "Complete"], [])

    def test_the_repository_is_in_a_bucket_and_velero_alone_brings_back_what_it_kept(self):
        space = self.space_in_use("salvor-bucket")
        sum_of_blob = ("-n", space, "exec", "user", "--", "md5sum", "/data/blob")
        before = kubectl(*sum_of_blob)
        with S3Stack(space, {"uploads": "FileSystem"}) as stack:
            stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            self.assertEqual(stack.backup()["coverage"], "Complete")
            self.assertIn("salvor/config", objects_in(stack.bucket))
            self.assertEqual(stored("salvor/"), [], "something lies where Velero's is")
            [made] = stack.velero_backups()
            delete_namespace(space)
            self.restore("salvor-bucket", made)
            wait_for("the restored pod to run", lambda: phase(get(space, "pod", "user")) == "Running", BACKUP_SECONDS,
                     lambda: pods_of(space))
            self.assertEqual(kubectl(*sum_of_blob), before)
            self.assertEqual((get(space, "configmap", "settings") or {})["data"], {"word": WORD})
            location = get(VELERO, "backupstoragelocations.velero.io", "default")
            self.assertEqual(phase(location), "Available")


class SomebodyIsKilled(ClusterTest):
    """In the middle of Velero's backup, with SIGKILL. Each time Velero makes one backup alone, and it is complete."""

    def check_one(self, stack: ClusterStack, run: str, made: str, uid: str) -> None:
        self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
        self.assertEqual(stack.backup()["coverage"], "Complete", stack.backup().get("reason"))
        self.assertEqual(stack.velero_backups(), [made])
        self.assertEqual(uid_of(made), uid)
        self.assertEqual([each["backup"] for each in stack.backup()["manifest"]["velero"]], [made])

    def test_an_agent_that_is_killed_goes_on_with_the_same_backup(self):
        space = held_space(self, "salvor-agent")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, Hold(space, stack) as hold:
            run = stack.start_run("backup", "create", "shop")
            made = hold.wait()
            uid = uid_of(made)
            stack.kill_agent()
            stack.start_agent()
            wait_for("the next attempt to find the backup", lambda: f"going on with Velero's backup {made}" in
                     stack.cli("run", "logs", run).stdout, BACKUP_SECONDS, lambda: shown(stack, run))
            self.assertEqual(hold.phases(), {made: "InProgress"})
            hold.release()
            self.check_one(stack, run, made, uid)

    def test_an_agent_that_comes_back_after_velero_has_ended_takes_what_is_there(self):
        space = held_space(self, "salvor-late")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, Hold(space, stack) as hold:
            run = stack.start_run("backup", "create", "shop")
            made = hold.wait()
            uid = uid_of(made)
            stack.kill_agent()
            hold.release()
            wait_for("Velero to end", lambda: backup_phase(made) in ENDED, BACKUP_SECONDS, hold.phases)
            stack.start_agent()
            self.check_one(stack, run, made, uid)

    def test_a_control_plane_that_is_killed_goes_on_with_the_same_run(self):
        space = held_space(self, "salvor-plane")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, Hold(space, stack) as hold:
            run = stack.start_run("backup", "create", "shop")
            made = hold.wait()
            uid = uid_of(made)
            stack.kill_salvord()
            stack.start_salvord()
            stack.wait_for_agent()
            hold.release()
            self.check_one(stack, run, made, uid)
            self.assertEqual(stack.steps(run)[f"volumes.backup.{space}"]["attempt"], 1, "the agent never stopped")

    def test_both_are_killed_and_velero_ends_in_between(self):
        space = held_space(self, "salvor-both")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, Hold(space, stack) as hold:
            run = stack.start_run("backup", "create", "shop")
            made = hold.wait()
            uid = uid_of(made)
            stack.kill_agent()
            stack.kill_salvord()
            hold.release()
            wait_for("Velero to end", lambda: backup_phase(made) in ENDED, BACKUP_SECONDS, hold.phases)
            stack.start_salvord()
            stack.start_agent()
            self.check_one(stack, run, made, uid)

    def test_two_runs_at_once_queue_and_say_so(self):
        space, other = held_space(self, "salvor-first"), self.namespace("salvor-second")
        apply(other, claim("uploads"))
        write(other, "uploads", WORD)
        start(other, pod("user", "uploads", IDLE))
        with TwoSpaces(space, other) as stack, Hold(space, stack) as hold:
            first = stack.start_run("backup", "create", "shop")
            hold.wait()
            second = stack.start_run("backup", "create", "wiki")
            told = "waiting for 1 backup of Velero before ours"
            wait_for("the second run to say what it waits for", lambda: told in shown(stack, second), BACKUP_SECONDS,
                     lambda: (shown(stack, second), hold.phases()))
            wait_for("Velero to queue the second", lambda: sorted(hold.phases().values()) == ["InProgress", "Queued"],
                     BACKUP_SECONDS, hold.phases)
            hold.release()
            for run, name in ((first, "shop"), (second, "wiki")):
                self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
                self.assertEqual(stack.backup(f"latest:{name}")["coverage"], "Complete")
            self.assertEqual(len(stack.velero_backups()), 2)


class TwoSpaces(ClusterStack):
    """With a second application, wiki, in a namespace of its own."""

    def __init__(self, space: str, other: str) -> None:
        super().__init__(space, {"uploads": "FileSystem"})
        self.other = other

    def declaration(self, **replace: Any) -> str:
        return f"{super().declaration(**replace)}\n---{SECOND % self.other}"

    def velero_backups(self) -> list[str]:
        here, self.space = self.space, self.other
        try:
            there = super().velero_backups()
        finally:
            self.space = here
        return super().velero_backups() + there


if __name__ == "__main__":
    unittest.main()
