"""The first hour with Salvor of somebody who is on a host that nothing was prepared on."""

import json
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from stack import BIN, Stack, wait_for


class FreshHost(unittest.TestCase):
    def test_the_control_plane_makes_the_directory_of_its_socket(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server = f"unix://{folder}/run/salvor/salvord.sock"
            with open(folder / "log", "w") as log:
                salvord = subprocess.Popen([BIN / "salvord", "--state-directory", folder / "state", "--listen", server],
                                           stdout=log, stderr=log)
            try:
                def answers():
                    self.assertIsNone(salvord.poll(), (folder / "log").read_text())
                    return subprocess.run([BIN / "salvor", "--server", server, "--token-file", folder / "state/api.token", "version"],
                                          capture_output=True, check=False).returncode == 0
                wait_for("salvord to answer", answers)
            finally:
                salvord.send_signal(signal.SIGTERM)
                salvord.wait(30)

    def test_where_that_directory_cannot_be_made_it_says_what_to_do(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "file").write_text("")
            done = subprocess.run([BIN / "salvord", "--state-directory", folder / "state", "--listen", f"unix://{folder}/file/s"],
                                  capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"Make {folder}/file for the user who runs salvord", done.stderr)

    def test_without_a_control_plane_the_exit_code_says_so(self):
        done = subprocess.run([BIN / "salvor", "--server", "unix:///nowhere/salvord.sock", "backup", "list"],
                              capture_output=True, text=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 10, done.stderr)


class FirstBackup(unittest.TestCase):
    def test_a_new_repository_is_made_without_a_fatal_word(self):
        with Stack(repository=False) as stack:
            done = stack.cli("backup", "create", "shop", "--wait", "-o", "name")
            backup = json.loads(stack.cli("backup", "show", "latest:shop", "-o", "json").stdout)
            run = backup["run"]
            self.assertEqual(done.stdout.strip(), run)
            logs = stack.cli("run", "logs", run).stdout
            self.assertNotIn("Fatal", logs)
            self.assertNotIn("Fatal", (stack.dir / "agent.log").read_text())
            # A Location with backups is neither deleted nor pointed elsewhere by a slip.
            refused = stack.cli("delete", "location", "vault", "--confirm", "vault", check=False)
            self.assertIn("which nobody would find without it", refused.stderr)
            elsewhere = stack.apply(stack.declaration(repository=stack.dir / "elsewhere"), check=False)
            self.assertEqual(elsewhere.returncode, 8, elsewhere.stderr)
            self.assertIn("1 backups are kept at", elsewhere.stdout + elsewhere.stderr)
            self.assertIn(str(stack.repository), stack.cli("get", "location", "vault", "-o", "yaml").stdout)

    def test_a_list_says_what_a_drill_found_and_a_cancelled_run_has_its_code(self):
        with Stack() as stack:
            stack.cli("backup", "create", "shop", "--wait")
            drill = stack.cli("drill", "create", "--backup", "latest:shop", "--wait", "-o", "name").stdout.strip()
            self.assertRegex(stack.cli("run", "list").stdout, rf"{drill} +drill +proven ")
            stack.kill_agent()
            run = stack.start_run("backup", "create", "shop")
            stack.cli("run", "cancel", run)
            self.assertEqual(stack.cli("run", "watch", run, check=False).returncode, 9)

    def test_settings_of_the_surroundings_do_not_beat_what_is_declared(self):
        with Stack() as stack:
            stack.kill_agent()
            # Each would make a session fail, or reach something else, if it were heeded.
            stack.start_agent(environment={"PGTARGETSESSIONATTRS": "standby", "PGPASSWORD": "of someone else",
                                           "PGSERVICE": "not-there", "PGDATABASE": "not-there"})
            stack.cli("backup", "create", "shop", "--wait")
            stack.cli("drill", "create", "--backup", "latest:shop", "--wait")

    def test_restoring_beside_the_original_as_the_readme_shows(self):
        with Stack() as stack:
            stack.sql("CREATE DATABASE shop_audit")
            stack.apply(stack.declaration().replace("databases: [shop]", "databases: [shop, shop_audit]"))
            stack.cli("backup", "create", "shop", "--wait")
            beside = ["restore", "create", "--backup", "latest:shop", "--to", "shop", "--component", "db",
                      "--rename-database", "shop=shop_copy"]
            planned = stack.cli(*beside, "--dry-run", check=False)
            self.assertEqual(planned.returncode, 7, planned.stderr)
            self.assertIn("create", planned.stdout)
            self.assertIn("would be refused: database shop_audit exists on the target", planned.stderr)
            looked = [run for run in json.loads(stack.cli("run", "list", "-o", "json").stdout)["items"]
                      if run["header"]["kind"] == "Inspect"]
            self.assertEqual(len(looked), 1)
            stack.kill_agent()
            stack.wait_for_no_agent()
            unseen = stack.cli(*beside, "--dry-run", "--timeout", "3s", check=False)
            self.assertEqual(unseen.returncode, 124, unseen.stderr)
            self.assertIn("no agent serves environment local", unseen.stderr)
            self.assertIn("create", unseen.stdout)  # the plan is there all the same
            stack.start_agent()
            # A database that keeps its name is there already: refused as a guardrail does it, with nothing written.
            refused = stack.cli(*beside, "--wait", check=False)
            self.assertEqual(refused.returncode, 7, refused.stderr)
            self.assertIn("database shop_audit exists on the target", refused.stderr)
            stack.cli(*beside, "--rename-database", "shop_audit=shop_audit_copy", "--wait")
            self.assertEqual(stack.sql("SELECT count(*) FROM orders", "shop_copy"), stack.sql("SELECT count(*) FROM orders", "shop"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
