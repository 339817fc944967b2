"""What one cluster kept is brought back in another: a second Velero, on the same bucket, that Salvor serves as well."""

import unittest

from salvor import ClusterStack
from second_velero import SecondVelero
from support import BACKUP_SECONDS, RESTORE_SECONDS, RUN, ClusterTest, apply, get, kubectl, phase, pods_of, wait_for
from volumes import claim, pod, start, write

WORD = f"of-{RUN}"


def other_cluster(velero: str, space: str) -> str:
    return f"""
apiVersion: salvor.dev/v1
kind: Environment
metadata: {{name: other}}
spec: {{runtime: Kubernetes, location: vault, cluster: {{veleroNamespace: {velero}}}}}
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: shop-there}}
spec:
  environment: other
  namespace: {space}
  components:
  - {{name: uploads, disk: {{claims: [uploads], method: FileSystem}}}}
"""


class AnotherCluster(ClusterTest):
    def test_a_backup_is_restored_through_the_other_clusters_velero_which_only_reads(self):
        space, target = self.namespace("salvor-here"), self.namespace("salvor-there")
        apply(space, claim("uploads"))
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", "exec sleep 3600"))
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, SecondVelero(f"velero-b-{RUN}") as other:
            stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            [made] = stack.velero_backups()
            stack.apply(other_cluster(other.space, target))
            stack.start_second_agent("host-b", of="other")
            other.wait_until_it_sees(made, RESTORE_SECONDS)
            run = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop-there")
            self.assertEqual(stack.outcome(run), "SUCCEEDED", stack.run(run).get("reason"))
            self.assertEqual(stack.run(run)["verdict"], "Restored", stack.run(run).get("verdictReason"))
            [restore] = other.restores()
            self.assertEqual((restore["spec"]["backupName"], phase(restore)), (made, "Completed"))
            wait_for("the restored pod to run", lambda: phase(get(target, "pod", "user")) == "Running", RESTORE_SECONDS,
                     lambda: pods_of(target))
            self.assertEqual(kubectl("-n", target, "exec", "user", "--", "cat", "/data/word").strip(), WORD)
            refused = stack.cli("backup", "create", "shop-there", "--wait", check=False, timeout=BACKUP_SECONDS)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("storage location default is read-only", " ".join((refused.stdout + refused.stderr).split()))

    def test_a_backup_that_the_other_velero_does_not_see_is_refused_before_anything_is_made(self):
        space, target = self.namespace("salvor-seen"), self.namespace("salvor-unseen")
        apply(space, claim("uploads"))
        write(space, "uploads", WORD)
        start(space, pod("user", "uploads", "exec sleep 3600"))
        with ClusterStack(space, {"uploads": "FileSystem"}) as stack, SecondVelero(f"velero-c-{RUN}") as other:
            other.look_no_more()
            stack.cli("backup", "create", "shop", "--wait", timeout=BACKUP_SECONDS)
            [made] = stack.velero_backups()
            stack.apply(other_cluster(other.space, target))
            stack.start_second_agent("host-b", of="other")
            done = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop-there", "--wait", check=False,
                             timeout=RESTORE_SECONDS)
            self.assertNotEqual(done.returncode, 0)
            said = " ".join((done.stdout + done.stderr).split())
            self.assertIn(made, said)
            self.assertIn(other.space, said)
            self.assertEqual(other.restores(), [])
            self.assertIsNone(get(target, "pvc", "uploads"))


if __name__ == "__main__":
    unittest.main()
