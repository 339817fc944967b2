"""Days on which Velero, or its cluster, is not well: each ends with the right verdict, and says what to do next."""

import json
import unittest

import mending
from held import Hold, held_space, uid_of
from salvor import ClusterStack, shown
from support import (BACKUP_SECONDS, READY_SECONDS, RUN, VELERO, ClusterTest, apply, find, get, kubectl, phase, reach,
                     wait_for, wait_until_ready)
from volumes import claim, pod, start, write

LOCATION = ("backupstoragelocation", "default")


def patch(kind: str, name: str, changes: object) -> None:
    kubectl("-n", VELERO, "patch", kind, name, "--type=json", "-p", json.dumps(changes))


class BeforeAnythingIsMade(ClusterTest):
    def space_in_use(self, name: str) -> str:
        space = self.namespace(name)
        apply(space, claim("uploads"))
        write(space, "uploads", f"of-{RUN}")
        start(space, pod("user", "uploads", "exec sleep 3600"))
        return space

    def check_refused(self, stack: ClusterStack, *words: str) -> None:
        done = stack.cli("backup", "create", "shop", "--wait", check=False, timeout=BACKUP_SECONDS)
        said = " ".join((done.stdout + done.stderr).split())
        self.assertEqual(done.returncode, 1, said)
        for each in words:
            self.assertIn(each, said)
        self.assertEqual(stack.velero_backups(), [])

    def test_without_a_node_agent_files_cannot_be_copied(self):
        space = self.space_in_use("salvor-no-node")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            self.addCleanup(wait_until_ready, VELERO, "daemonset/node-agent")
            self.addCleanup(patch, "daemonset", "node-agent",
                            [{"op": "remove", "path": "/spec/template/spec/nodeSelector"}])
            patch("daemonset", "node-agent", [{"op": "add", "path": "/spec/template/spec/nodeSelector",
                                               "value": {"salvor.test/nowhere": "true"}}])
            reach("the pods of node-agent", lambda: find(VELERO, "pods", "name=node-agent"), [], READY_SECONDS)
            self.check_refused(stack, "Velero's node-agent runs on no node")

    def test_a_location_that_is_not_available(self):
        space = self.space_in_use("salvor-no-bucket")
        bucket = (get(VELERO, *LOCATION) or {})["spec"]["objectStorage"]["bucket"]
        path = "/spec/objectStorage/bucket"
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            self.addCleanup(reach, "the location", lambda: phase(get(VELERO, *LOCATION)), "Available", READY_SECONDS)
            self.addCleanup(patch, *LOCATION, [{"op": "replace", "path": path, "value": bucket},
                                               {"op": "remove", "path": "/spec/validationFrequency"}])
            patch(*LOCATION, [{"op": "replace", "path": path, "value": f"absent-{RUN}"},
                              {"op": "add", "path": "/spec/validationFrequency", "value": "1s"}])
            reach("the location", lambda: phase(get(VELERO, *LOCATION)), "Unavailable", READY_SECONDS)
            self.check_refused(stack, "storage location default is Unavailable", "Mend its bucket")


class InTheMiddle(ClusterTest):
    def test_the_backup_is_deleted_by_somebody_and_made_again_once_velero_was_restarted(self):
        """Velero 1.18 goes on to count the deleted one, and begins no other until it is restarted."""
        space = held_space(self, "salvor-deleted")
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, Hold(space, stack) as hold:
            run = stack.start_run("backup", "create", "shop")
            made = hold.wait()
            uid = uid_of(made)
            self.addCleanup(mending.restart, "velero")  # whatever happened: it would hang for all others
            kubectl("-n", VELERO, "delete", "backups.velero.io", made)
            wait_for("the next attempt to make another one", lambda: uid_of(made) not in ("", uid), BACKUP_SECONDS,
                     lambda: (shown(stack, run), stack.cli("run", "logs", run).stdout))
            hold.release()
            mending.restart("velero")
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.backup()["coverage"], "Complete", stack.backup().get("reason"))
            [again] = stack.velero_backups()
            self.assertEqual([each["backup"] for each in stack.backup()["manifest"]["velero"]], [again])
            self.assertEqual(phase(get(VELERO, "backups.velero.io", again)), "Completed")

    def test_a_hook_that_hangs_is_told_with_its_reason(self):
        space = self.namespace("salvor-hook")
        apply(space, claim("uploads"))
        write(space, "uploads", f"of-{RUN}")
        start(space, pod("user", "uploads", "exec sleep 3600", {
            "pre.hook.backup.velero.io/command": json.dumps(["sh", "-c", "exec sleep 3600"]),
            "pre.hook.backup.velero.io/timeout": "1s"}))
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack:
            done = stack.cli("backup", "create", "shop", "--wait", check=False, timeout=BACKUP_SECONDS)
            self.assertNotEqual(done.returncode, 0, done.stdout)
            said = " ".join((done.stdout + done.stderr + stack.cli("backup", "show", "latest:shop").stdout).split())
            self.assertIn("hook", said)
            [made] = stack.velero_backups()
            self.assertEqual(phase(get(VELERO, "backups.velero.io", made)), "PartiallyFailed")
            self.assertNotEqual(stack.backup()["coverage"], "Complete")


if __name__ == "__main__":
    unittest.main()
