"""Runs with several places: a restore into another environment, and an application on two hosts."""

import shutil
import signal
import unittest

from stack import Stack, wait_for

ELSEWHERE = """
---
apiVersion: salvor.dev/v1
kind: Environment
metadata: {{name: spare}}
spec: {{runtime: Host, location: vault}}
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: shop-elsewhere}}
spec:
  environment: spare
  components:
  - name: uploads
    host: host-a
    disk: {{paths: ["{copy}"]}}
"""

PAIR = """
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: pair}}
spec:
  environment: local
  components:
  - name: here
    host: host-a
    disk: {{paths: ["{here}"]}}
  - name: there
    host: host-b
    disk: {{paths: ["{there}"]}}
"""

DATABASES = """
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {{name: pair}}
spec:
  environment: local
  components:
  - name: here
    host: host-a
    postgres: {{connection: {{socketDirectory: "{socket}", user: postgres}}, databases: [shop]}}
  - name: there
    host: host-b
    postgres: {{connection: {{socketDirectory: "{socket}", user: postgres}}, databases: [shop]}}
"""


CLUSTER = """
---
apiVersion: salvor.dev/v1
kind: Environment
metadata: {name: production}
spec: {runtime: Kubernetes, location: vault, cluster: {veleroNamespace: velero}}
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {name: volumes}
spec:
  environment: production
  namespace: shop
  components:
  - name: uploads
    disk: {claims: [uploads], method: FileSystem}
"""


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Places(unittest.TestCase):
    def test_a_backup_of_one_environment_is_restored_into_another(self):
        with Stack() as stack:
            copy = stack.dir / "copy"
            stack.apply(stack.declaration() + ELSEWHERE.format(copy=copy))
            stack.cli("backup", "create", "shop", "--wait")

            restore = stack.start_run("restore", "create", "--backup", "latest:shop", "--to", "shop-elsewhere",
                                      "--component", "uploads")
            waits = "agent host-a of environment spare is not connected"
            wait_for("the restore to say for whom it waits", lambda: waits in stack.cli("run", "show", restore).stdout)
            self.assertFalse(copy.exists(), "the agent of that name in the other environment has no part in it")

            stack.start_second_agent("host-a", of="spare")
            self.assertEqual(stack.outcome(restore), "SUCCEEDED")
            self.assertEqual(contents(copy), contents(stack.uploads))
            self.assertEqual(stack.run(restore)["header"]["environment"], "spare")
            planned = stack.cli("restore", "create", "--backup", "latest:shop", "--to", "shop-elsewhere",
                                "--component", "uploads", "--dry-run", check=False)
            self.assertIn("on host host-a", planned.stdout)
            self.assertIn("would be refused", planned.stderr)  # the copy is there, on that host and no other

    def test_an_application_on_two_hosts_of_which_one_is_killed_in_between(self):
        with Stack() as stack:
            here, there = stack.dir / "here", stack.dir / "there"
            for folder in (here, there):
                shutil.copytree(stack.uploads, folder, symlinks=True)
            (there / "only there").write_text("what the other host has")
            stack.apply(PAIR.format(here=here, there=there))
            stack.start_second_agent()

            # It holds a step and does not begin it, until it is killed.
            stack.second_agent.send_signal(signal.SIGSTOP)
            backup = stack.start_run("backup", "create", "pair")
            stack.wait_for_step(backup, "here.backup", "SUCCEEDED")
            stack.wait_for_step(backup, "location.open.host-b", "RUNNING", "READY")
            stack.second_agent.kill()
            stack.second_agent.wait()
            wait_for("the run to say whom it waits for",
                     lambda: "host-b" in stack.steps(backup)["location.open.host-b"].get("reason", ""))
            self.assertEqual(stack.steps(backup)["there.backup"]["phase"], "PENDING", "nobody else may take it")

            stack.start_second_agent()
            self.assertEqual(stack.outcome(backup), "SUCCEEDED")
            steps = stack.steps(backup)
            for step in ("location.open", "here.backup", "manifest.write"):
                self.assertEqual(steps[step]["agent"], "host-a", step)
            for step in ("location.open.host-b", "there.backup"):
                self.assertEqual(steps[step]["agent"], "host-b", step)
            self.assertEqual(stack.backup("latest:pair")["coverage"].upper(), "COMPLETE")
            self.assertEqual(len(stack.snapshots("kind=manifest")), 1, "the manifest is written once")

            stack.cli("drill", "create", "--backup", "latest:pair", "--wait")
            before = {folder: contents(folder) for folder in (here, there)}
            for folder in before:
                shutil.rmtree(folder)
            restore = stack.start_run("restore", "create", "--backup", "latest:pair", "--to", "pair")
            self.assertEqual(stack.outcome(restore), "SUCCEEDED")
            self.assertEqual({folder: contents(folder) for folder in before}, before)
            self.assertEqual(stack.steps(restore)["there.restore"]["agent"], "host-b")

    def test_a_cluster_is_planned_and_no_agent_of_a_host_works_on_it(self):
        with Stack() as stack:
            stack.apply(stack.declaration() + CLUSTER)
            planned = stack.cli("backup", "create", "volumes", "--dry-run").stdout
            for words in ("volume uploads of shop", "file-system backup", "objects of namespace shop"):
                self.assertIn(words, planned)

            stack.start_second_agent("host-b", of="production")
            backup = stack.start_run("backup", "create", "volumes")
            waits = "no agent serves environment production"
            wait_for("the run to say that nobody can do it", lambda: waits in stack.cli("run", "show", backup).stdout)
            stack.cli("run", "cancel", backup)
            self.assertEqual(stack.outcome(backup), "CANCELLED")

            mixed = CLUSTER.replace("claims: [uploads]", "claims: [uploads], paths: [/srv/uploads]")
            refused = stack.apply(stack.declaration() + mixed, check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertRegex(refused.stderr, r"yaml:\d+:\d+: spec\.components\[0\]\.disk\.claims: cannot stand beside disk\.paths")

    def test_the_same_path_of_two_hosts_is_proven_in_one_drill(self):
        with Stack() as stack:
            stack.apply(PAIR.format(here=stack.uploads, there=stack.uploads))
            stack.start_second_agent()
            stack.cli("backup", "create", "pair", "--wait")
            drill = stack.start_run("drill", "create", "--backup", "latest:pair")
            self.assertEqual(stack.outcome(drill), "SUCCEEDED")
            self.assertEqual(stack.run(drill)["verdict"], "Proven")

    def test_a_database_of_the_same_name_on_two_hosts_is_proven_in_one_drill(self):
        with Stack() as stack:
            stack.apply(stack.declaration() + DATABASES.format(socket=stack.dir / "pg"))
            stack.start_second_agent()
            stack.cli("backup", "create", "pair", "--wait")
            drill = stack.start_run("drill", "create", "--backup", "latest:pair")
            self.assertEqual(stack.outcome(drill), "SUCCEEDED")
            self.assertEqual(stack.run(drill)["verdict"], "Proven")
            steps = stack.steps(drill)
            for step in ("scratch.start", "scratch.start.postgres-2", "here.verify.shop", "there.verify.shop",
                         "scratch.stop", "scratch.stop.postgres-2"):
                self.assertEqual(steps[step]["phase"], "SUCCEEDED", step)


if __name__ == "__main__":
    unittest.main(verbosity=2)
