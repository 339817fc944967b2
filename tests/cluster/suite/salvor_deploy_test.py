"""Salvor inside of the cluster: put beside Velero as docs/kubernetes.md says, with no rights but those it has there."""

import unittest

from buckets import objects_in
from deployed import SALVOR, DeployedSalvor, in_salvord
from support import BACKUP_SECONDS, GONE_SECONDS, RESTORE_SECONDS, VELERO, find, kubectl, succeeds, wait_until_ready

EXECUTOR = "system:serviceaccount:salvor:salvor-executor"


class Deployed(DeployedSalvor):
    def may(self, verb: str, resource: str, space: str) -> bool:
        return succeeds("auth", "can-i", verb, resource, "-n", space, f"--as={EXECUTOR}")

    def check_rights(self) -> None:
        allowed = [("list", "pods", self.space), ("create", "backups.velero.io", VELERO)]
        denied = [("get", "secrets", self.space), ("create", "pods/exec", self.space), ("get", "pods/exec", self.space),
                  ("list", "pods", "default"), ("list", "secrets", VELERO), ("update", "deployments.apps", VELERO),
                  ("create", "pods", SALVOR), ("get", "secrets", SALVOR)]
        self.assertEqual([each for each in allowed if not self.may(*each)], [])
        self.assertEqual([each for each in denied if self.may(*each)], [])

    def test_it_is_put_beside_velero_and_backs_up_a_namespace(self):
        self.put_beside_velero()

        # Without a word of the namespace's owner the executor sees nothing of it.
        refused = self.cli("backup", "create", "shop", "--wait", check=False, seconds=BACKUP_SECONDS)
        self.assertEqual(refused.returncode, 1, refused.stdout + refused.stderr)
        self.assertIn("forbidden", (refused.stdout + refused.stderr).lower())
        self.assertIn(f"'list' on 'persistentvolumeclaims' in namespace {self.space}", " ".join(refused.stderr.split()))
        refused = self.cli("discover", "--namespace", self.space, check=False, seconds=BACKUP_SECONDS)
        self.assertEqual(refused.returncode, 1, refused.stdout + refused.stderr)
        self.assertIn(f"kubectl -n {self.space} create rolebinding salvor --clusterrole=salvor-application "
                      "--serviceaccount=salvor:salvor-executor", refused.stderr)
        self.opt_in()

        proposed = self.cli("discover", "--namespace", self.space, seconds=BACKUP_SECONDS).stdout
        self.assertIn("\n  - name: uploads\n", proposed)
        self.assertIn("complete", self.back_up_shop())
        self.check_a_drill()
        shown = self.cli("backup", "show", "latest:shop").stdout
        self.assertIn(f"volume uploads of {self.space}, file-system backup", " ".join(shown.split()))
        self.assertIn("salvor/config", objects_in(self.bucket))
        self.check_rights()
        self.check_it_survives()

    def check_a_drill(self) -> None:
        """By the rights and the image that the executor finds at its own pod, and the walls of the guard."""
        drilled = self.cli("drill", "create", "--backup", "latest:shop", "--wait", check=False,
                           seconds=BACKUP_SECONDS + RESTORE_SECONDS)
        self.assertEqual(drilled.returncode, 0, drilled.stdout + drilled.stderr)
        self.assertIn("proven", drilled.stdout)
        self.assertEqual(find("default", "namespaces", "salvor.dev/scratch"), [])
        # The guard keeps it from what RBAC alone would allow: to let itself in elsewhere, or to make other namespaces.
        self.assertFalse(self.is_let("rolebinding", "self-made", "--clusterrole=salvor-scratch",
                                     "--serviceaccount=salvor:salvor-executor"))
        self.assertFalse(self.is_let("namespace", f"{self.space}-not-of-a-drill"))
        self.assertTrue(self.is_let("namespace", f"salvor-drill-{self.space}"))

    def is_let(self, *words: str) -> bool:
        return succeeds("-n", self.space, "create", *words, "--dry-run=server", f"--as={EXECUTOR}")

    def check_it_survives(self) -> None:
        """Both pods are made anew: what is on record stays, and the kubelet opens no secret of it."""
        name = self.cli("backup", "show", "latest:shop", "-o", "name").stdout.strip()
        kubectl("-n", SALVOR, "delete", "pod", "salvord-0", "salvor-executor-0", f"--timeout={GONE_SECONDS}s",
                seconds=GONE_SECONDS + 10)
        wait_until_ready(SALVOR, "statefulset/salvord", "statefulset/salvor-executor")
        self.wait_for_executor()
        self.assertIn(name, in_salvord("salvor", "backup", "list", "-o", "name").split())
        in_salvord("salvor", "backup", "create", "shop", "--wait", seconds=BACKUP_SECONDS)


if __name__ == "__main__":
    unittest.main()
